/* The training loop of the names model in C, tuned by hand: explicit gradients, all documents of a batch side by side
   in the vector lanes, no padding but the last vector's. float32.

   Every matrix of activations is [features][positions], the positions of all documents in one row: a product with
   weights, a norm, a softmax is then the same sum in every lane. Only for a weight's gradient, which is a sum over
   positions, the features go into the lanes. Sizes are known to the compiler: simd_c.py defines nLayer, E, H, V, T and B.

   Legend: E nEmbd, H heads, D headDim, V vocabulary, T blockSize, B documents a batch, W lanes of a vector. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The widest vectors that the machine has and that divide E, a multiple of 4. */
#if defined(__AVX512F__) && E % 16 == 0
#define W 16
#elif defined(__AVX__) && E % 8 == 0
#define W 8
#else
#define W 4
#endif
#define D (E / H)
#define ROUNDED(n) (((n) + W - 1) / W * W)
#define ROW (ROUNDED(B * T) + 2 * W) /* positions in a row of activations, with room behind the last */
#define KEYS (ROUNDED(T) + W)        /* positions of one document */
#define LAYER (12 * E * E)
#define COUNT (V * E + T * E + V * E + nLayer * LAYER)
#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n) for (int i = 0; i < (n); i++)

typedef float vec __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * W), aligned(4), may_alias));

INLINE vec load(const float *from) { return *(const vec *)from; }
INLINE void store(float *to, vec x) { *(vec *)to = x; }
INLINE vec all(float x) { return x - (vec){}; }
INLINE vec where(ints mask, vec x) { return (vec)((ints)x & mask); }
INLINE vec larger(vec a, vec b) {
    ints mask = a > b;
    return (vec)(((ints)a & mask) | ((ints)b & ~mask));
}

static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* e^x for x <= 0: 2^n by its bits, and a polynomial for what is left, within half of ln 2 of 0. */
INLINE vec exponential(vec x) {
    x = larger(x, all(-87.0f));
    ints n = __builtin_convertvector(x * 1.44269504f - 0.5f, ints);
    vec whole = __builtin_convertvector(n, vec);
    vec r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * (vec)((n + 127) << 23);
}

/* W vectors as columns instead of rows: log2(W) times interleaved with those of the other half. */
INLINE void transpose(vec *x) {
    for (int turn = 1; turn < W; turn *= 2) {
        vec old[W];
        EACH(i, W) old[i] = x[i];
        EACH(i, W / 2) {
            vec a = old[i], b = old[i + W / 2];
#if W == 16
            x[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            x[2 * i + 1] =
                __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif W == 8
            x[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
            x[2 * i + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
            x[2 * i] = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            x[2 * i + 1] = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
        }
    }
}

/* to[j][i] = from[i][j]; rows and columns are multiples of W. */
INLINE void transposed(float *to, int to_row, const float *from, int from_row, int rows, int columns) {
    for (int i = 0; i < rows; i += W)
        for (int j = 0; j < columns; j += W) {
            vec x[W];
            EACH(k, W) x[k] = load(from + (i + k) * from_row + j);
            transpose(x);
            EACH(k, W) store(to + (j + k) * to_row + i, x[k]);
        }
}

/* I x L vectors of a product, held in registers: to[i][l] (+)= sum over p of a[i][p] b[p][l]. */
INLINE void block(const int I, const int L, int P, float *to, int to_row, const float *a, int a_row, int a_column,
                  const float *b, int b_row, int more) {
    vec sum[8][3]; /* known sizes, or it would lie in memory */
#pragma GCC unroll 16
    EACH(i, I)
#pragma GCC unroll 4
    EACH(l, L) sum[i][l] = more ? load(to + i * to_row + l * W) : all(0);
    EACH(p, P) {
        vec right[3];
#pragma GCC unroll 4
        EACH(l, L) right[l] = load(b + p * b_row + l * W);
#pragma GCC unroll 16
        EACH(i, I) {
            vec left = all(a[i * a_row + p * a_column]);
#pragma GCC unroll 4
            EACH(l, L) sum[i][l] += left * right[l];
        }
    }
#pragma GCC unroll 16
    EACH(i, I)
#pragma GCC unroll 4
    EACH(l, L) store(to + i * to_row + l * W, sum[i][l]);
}

#if W == 16
#define TALL 8 /* 32 registers */
#else
#define TALL 4
#endif

/* to[rows][columns] (+)= a[rows][P] b[P][columns], of which a may lie either way. columns: a multiple of W. */
INLINE void product(float *to, int to_row, const float *a, int a_row, int a_column, const float *b, int b_row, int rows,
                    int P, int columns, int more) {
#define BLOCKS(I, L)                                                                                                   \
    for (; i + I <= rows; i += I)                                                                                      \
        block(I, L, P, to + i * to_row + l, to_row, a + i * a_row, a_row, a_column, b + l, b_row, more);
    int l = 0;
    for (; columns - l >= 3 * W; l += 3 * W) {
        int i = 0;
        BLOCKS(TALL, 3)
        if (rows % TALL) BLOCKS(1, 3)
    }
    if (columns - l == 2 * W) {
        int i = 0;
        BLOCKS(TALL, 2)
        if (rows % TALL) BLOCKS(1, 2)
    } else if (columns - l == W) {
        int i = 0;
        BLOCKS(8, 1)
        if (rows % 8) {
            BLOCKS(4, 1)
            if (rows % 4) BLOCKS(1, 1)
        }
    }
#undef BLOCKS
}

static float g[COUNT]; /* the gradient, in the order of the weights */

typedef float Wide[4 * E][ROW];
typedef float Narrow[E][ROW];
static struct {
    Narrow x, normed, heads, after, normed_mlp; /* x: what enters the layer, after: attention's sum with it */
    float scale[ROW], scale_mlp[ROW], qkv[3 * E][ROW], attention[B][H][KEYS][KEYS];
    Wide hidden;
} kept[nLayer];
static Narrow embedded, last, dx, dnormed;
static Wide dwide;
static float embedded_scale[ROW], logits[V][ROW], share[ROW], total[ROW];
static float rows[ROW][E + W], wide_rows[ROW][4 * E + W]; /* W more: rows of 2^n bytes fall on each other in a cache */
static int32_t inputs[ROW], targets[ROW], place[ROW], begin[B], length[B];
static int N, padded; /* positions of the batch, and rounded up to whole vectors */

static void rmsnorm(Narrow to, float *scales, Narrow from) {
    for (int n = 0; n < padded; n += W) {
        vec square = all(0);
        EACH(e, E) square += load(from[e] + n) * load(from[e] + n);
        vec of = square / (float)E + 1e-5f, scale;
        EACH(i, W) scale[i] = 1.0f / sqrtf(of[i]);
        store(scales + n, scale);
        EACH(e, E) store(to[e] + n, load(from[e] + n) * scale);
    }
}

/* to = or += what `grad`, of the normed, is of the norm's input. */
INLINE void rmsnorm_backward(Narrow to, Narrow grad, Narrow normed, const float *scales, int more) {
    for (int n = 0; n < padded; n += W) {
        vec along = all(0), scale = load(scales + n);
        EACH(e, E) along += load(grad[e] + n) * load(normed[e] + n);
        along = along / (float)E;
        EACH(e, E) {
            vec d = (load(grad[e] + n) - load(normed[e] + n) * along) * scale;
            if (more) d += load(to[e] + n);
            store(to[e] + n, d);
        }
    }
}

/* y[J] = or += weight[J][K] x[K], and backward: dx[K] = weight[J][K] dy[J], and the weight's gradient. */
INLINE void forward(float y[][ROW], const float *weight, float from[][ROW], int J, int K, int more) {
    product(y[0], ROW, weight, K, 1, from[0], ROW, J, K, padded, more);
}

INLINE void backward(float d[][ROW], const float *weight, float dy[][ROW], int J, int K) {
    product(d[0], ROW, weight, 1, K, dy[0], ROW, K, J, padded, 0);
}

INLINE void weight_gradient(float *to, float dy[][ROW], float from[][ROW], int J, int K) {
    float *as_rows = K == E ? rows[0] : wide_rows[0];
    transposed(as_rows, K + W, from[0], ROW, K, padded);
    product(to, K, dy[0], ROW, 1, as_rows, K + W, J, N, K, 0);
}

/* One document after the other, queries in the lanes. What is computed in lanes behind a document's end is the next
   one's, which is written after it. */
static void attend(int layer) {
    float(*q)[ROW] = kept[layer].qkv, (*k)[ROW] = q + E, (*v)[ROW] = q + 2 * E;
    EACH(b, B) EACH(h, H) {
        int at = begin[b], L = length[b], wide = ROUNDED(L);
        float(*a)[KEYS] = kept[layer].attention[b][h];
        product(a[0], KEYS, k[h * D] + at, 1, ROW, q[h * D] + at, ROW, (L + 3) / 4 * 4, D, wide, 0);
        for (int t = 0; t < wide; t += W) {
            ints query = *(const ints *)lanes + t;
            vec most = all(-1e30f), sum = all(0);
            EACH(s, L) {
                ints seen = query >= s;
                vec score = load(a[s] + t) * (1.0f / sqrtf(D));
                score = (vec)(((ints)score & seen) | ((ints)all(-1e30f) & ~seen));
                store(a[s] + t, score);
                most = larger(most, score);
            }
            EACH(s, L) {
                vec e = exponential(load(a[s] + t) - most);
                store(a[s] + t, e);
                sum += e;
            }
            vec part = 1.0f / sum;
            EACH(s, L) store(a[s] + t, load(a[s] + t) * part);
        }
        product(kept[layer].heads[h * D] + at, ROW, v[h * D] + at, ROW, 1, a[0], KEYS, D, L, wide, 0);
    }
}

/* dwide: the gradients of queries, keys and values. */
static void attend_backward(int layer, Narrow dheads) {
    static float da[KEYS][KEYS], turned[KEYS][KEYS];
    float(*q)[ROW] = kept[layer].qkv, (*k)[ROW] = q + E, (*v)[ROW] = q + 2 * E;
    float(*dq)[ROW] = dwide, (*dk)[ROW] = dq + E, (*dv)[ROW] = dq + 2 * E;
    EACH(b, B) EACH(h, H) {
        int at = begin[b], L = length[b], wide = ROUNDED(L), e = h * D;
        float(*a)[KEYS] = kept[layer].attention[b][h];
        transposed(turned[0], KEYS, a[0], KEYS, wide, wide);
        product(dv[e] + at, ROW, dheads[e] + at, ROW, 1, turned[0], KEYS, D, L, wide, 0);
        product(da[0], KEYS, v[e] + at, 1, ROW, dheads[e] + at, ROW, (L + 3) / 4 * 4, D, wide, 0);
        for (int t = 0; t < wide; t += W) {
            vec along = all(0);
            EACH(s, L) along += load(da[s] + t) * load(a[s] + t);
            EACH(s, L) store(da[s] + t, (load(da[s] + t) - along) * load(a[s] + t) * (1.0f / sqrtf(D)));
        }
        product(dq[e] + at, ROW, k[e] + at, ROW, 1, da[0], KEYS, D, L, wide, 0);
        transposed(turned[0], KEYS, da[0], KEYS, wide, wide);
        product(dk[e] + at, ROW, q[e] + at, ROW, 1, turned[0], KEYS, D, L, wide, 0);
    }
}

/* The mean over documents of their mean cross-entropies; `logits` become their gradient. */
static float cross_entropy(void) {
    float loss = 0;
    for (int n = 0; n < padded; n += W) {
        vec most = load(logits[0] + n), sum = all(0);
        for (int j = 1; j < V; j++) most = larger(most, load(logits[j] + n));
        for (int i = n; i < n + W && i < N; i++) loss -= share[i] * (logits[targets[i]][i] - most[i - n]);
        EACH(j, V) {
            vec e = exponential(load(logits[j] + n) - most);
            store(logits[j] + n, e);
            sum += e;
        }
        store(total + n, sum);
        vec part = load(share + n) / sum;
        EACH(j, V) store(logits[j] + n, load(logits[j] + n) * part);
    }
    EACH(n, N) loss += share[n] * logf(total[n]);
    EACH(n, N) logits[targets[n]][n] -= share[n];
    return loss;
}

/* tokens: (documents, T + 1); lengths: predictions of each; the batch begins at document `from`, round and round. */
static void take_batch(const int32_t *tokens, const int32_t *lengths, int64_t documents, int64_t from) {
    N = 0;
    EACH(b, B) {
        int64_t document = (from + b) % documents;
        const int32_t *text = tokens + document * (T + 1);
        begin[b] = N;
        length[b] = lengths[document];
        EACH(t, length[b]) {
            inputs[N] = text[t];
            targets[N] = text[t + 1];
            place[N] = t;
            share[N++] = 1.0f / (length[b] * B);
        }
    }
    padded = ROUNDED(N);
    for (int n = N; n < padded; n++) share[n] = 0;
}

/* The loss of the batch; its gradient in g. */
static float gradients(const float *w) {
    const float *token = w, *position = w + V * E, *output = position + T * E, *layers = output + V * E;
    float *g_token = g, *g_position = g + V * E, *g_output = g_position + T * E, *g_layers = g_output + V * E;

    EACH(n, N) for (int e = 0; e < E; e += W)
        store(rows[n] + e, load(token + inputs[n] * E + e) + load(position + place[n] * E + e));
    transposed(embedded[0], ROW, rows[0], E + W, padded, E);
    rmsnorm(kept[0].x, embedded_scale, embedded);
    EACH(i, nLayer) {
        const float *weights = layers + i * LAYER;
        float(*next)[ROW] = i + 1 < nLayer ? kept[i + 1].x : last;
        rmsnorm(kept[i].normed, kept[i].scale, kept[i].x);
        forward(kept[i].qkv, weights, kept[i].normed, 3 * E, E, 0);
        attend(i);
        EACH(e, E) memcpy(kept[i].after[e], kept[i].x[e], sizeof(float) * padded);
        forward(kept[i].after, weights + 3 * E * E, kept[i].heads, E, E, 1);
        rmsnorm(kept[i].normed_mlp, kept[i].scale_mlp, kept[i].after);
        forward(kept[i].hidden, weights + 4 * E * E, kept[i].normed_mlp, 4 * E, E, 0);
        EACH(j, 4 * E) for (int n = 0; n < padded; n += W)
            store(kept[i].hidden[j] + n, larger(load(kept[i].hidden[j] + n), all(0)));
        EACH(e, E) memcpy(next[e], kept[i].after[e], sizeof(float) * padded);
        forward(next, weights + 8 * E * E, kept[i].hidden, E, 4 * E, 1);
    }
    forward(logits, output, last, V, E, 0);
    float loss = cross_entropy();

    weight_gradient(g_output, logits, last, V, E);
    backward(dx, output, logits, V, E);
    for (int i = nLayer - 1; i >= 0; i--) {
        const float *weights = layers + i * LAYER;
        float *g_weights = g_layers + i * LAYER;
        weight_gradient(g_weights + 8 * E * E, dx, kept[i].hidden, E, 4 * E);
        backward(dwide, weights + 8 * E * E, dx, E, 4 * E);
        EACH(j, 4 * E) for (int n = 0; n < padded; n += W)
            store(dwide[j] + n, where(load(kept[i].hidden[j] + n) > 0, load(dwide[j] + n)));
        weight_gradient(g_weights + 4 * E * E, dwide, kept[i].normed_mlp, 4 * E, E);
        backward(dnormed, weights + 4 * E * E, dwide, 4 * E, E);
        rmsnorm_backward(dx, dnormed, kept[i].normed_mlp, kept[i].scale_mlp, 1);

        weight_gradient(g_weights + 3 * E * E, dx, kept[i].heads, E, E);
        backward(dnormed, weights + 3 * E * E, dx, E, E);
        attend_backward(i, dnormed);
        weight_gradient(g_weights, dwide, kept[i].normed, 3 * E, E);
        backward(dnormed, weights, dwide, 3 * E, E);
        rmsnorm_backward(dx, dnormed, kept[i].normed, kept[i].scale, 1);
    }
    rmsnorm_backward(dx, dx, kept[0].x, embedded_scale, 0);
    transposed(rows[0], E + W, dx[0], ROW, E, padded);
    memset(g, 0, sizeof(float) * (V * E + T * E));
    EACH(n, N) for (int e = 0; e < E; e += W) {
        float *of_token = g_token + inputs[n] * E + e, *of_position = g_position + place[n] * E + e;
        store(of_token, load(of_token) + load(rows[n] + e));
        store(of_position, load(of_position) + load(rows[n] + e));
    }
    return loss;
}

/* `count` steps from step `done` (from 0) on; the weights and Adam's moments are changed in place. */
void train(float *restrict w, float *restrict m, float *restrict v, const int32_t *tokens, const int32_t *lengths,
           int64_t documents, int64_t done, int64_t count, int64_t steps, double rate, double beta1, double beta2,
           double eps, float *losses) {
    for (int64_t s = done; s < done + count; s++) {
        take_batch(tokens, lengths, documents, s * B % documents);
        losses[s - done] = gradients(w);
        const float old1 = beta1, old2 = beta2, new1 = 1 - beta1, new2 = 1 - beta2, epsilon = eps;
        const float pace = rate * (1 - (double)s / steps) / (1 - pow(beta1, s + 1));
        const float unbiased = 1 / (1 - pow(beta2, s + 1));
        EACH(i, COUNT) {
            m[i] = m[i] * old1 + g[i] * new1;
            v[i] = v[i] * old2 + g[i] * g[i] * new2;
            w[i] -= pace * m[i] / (sqrtf(v[i] * unbiased) + epsilon);
        }
    }
}
