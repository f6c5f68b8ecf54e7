/* Below: what the model is made of ends, and the program that samples from it begins. */

static int is_space(char sign) { return sign == ' ' || (sign >= '\t' && sign <= '\r'); }

/* The id of the piece that a text begins with, exactly `length` bytes of it; -1 for none. */
static int piece_of(const char *text, size_t length) {
    for (int id = 0; id < BOS; id++)
        if (pieces[id].length == length && memcmp(pieces[id].text, text, length) == 0) return id;
    return -1;
}

/* The ids of a prompt, as the model's tokenizer gives them: at most `most`. -1 for what is not in the vocabulary. */
static int encode(char *text, int *ids, int most) {
    int count = 0;
    if (LOWERCASE)
        for (char *sign = text; *sign; sign++)
            if (*sign >= 'A' && *sign <= 'Z') *sign += 'a' - 'A'; /* other letters must be small already */
    if (START == BOS && UNIT != BYTES) while (is_space(*text)) text++;
    while (*text && count < most) {
        size_t length = 1;
        if (UNIT == WORDS || UNIT == IDS)
            while (text[length] && !is_space(text[length])) length++;
        if (UNIT == CHARACTERS)
            while (((unsigned char)text[length] & 0xC0) == 0x80) length++; /* the rest of a character of UTF-8 */
        int id = UNIT == BYTES ? (unsigned char)*text : UNIT == IDS ? atoi(text) : piece_of(text, length);
        if (id < 0 || id > BOS) {
            fprintf(stderr, "not in the vocabulary: %.*s\n", (int)length, text);
            return -1;
        }
        ids[count++] = id;
        text += length;
        if (UNIT == WORDS || UNIT == IDS) while (is_space(*text)) text++;
    }
    return count;
}

/* A number in [0, 1), by Marsaglia's xorshift64 (2003). */
static uint64_t chance = 88172645463325252u;
static double uniform(void) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (double)(chance >> 11) / 9007199254740992.0;
}

/* The likeliest token at temperature 0, the first of equals; else one drawn by softmax(logits / temperature). */
static int choose(double temperature) {
    int best = 0;
    for (int id = 1; id <= BOS; id++) if (logits[id] > logits[best]) best = id;
    if (temperature <= 0) return best;
    double total = 0, reached = 0;
    for (int id = 0; id <= BOS; id++) total += exp((logits[id] - logits[best]) / temperature);
    double wanted = uniform() * total;
    for (int id = 0; id <= BOS; id++) {
        reached += exp((logits[id] - logits[best]) / temperature);
        if (reached > wanted) return id;
    }
    return best;
}

static void show(int id, int first) {
    if (UNIT == WORDS && !first) putchar(' ');
    fwrite(pieces[id].text, 1, pieces[id].length, stdout);
    fflush(stdout);
}

/* What the model keeps of earlier tokens is forgotten: a text begins. */
static void forget(void) {
FORGET
}

/* One text to the end: the prompt's tokens, and those that the model goes on with. */
static void say(const int *prompt, int known, double temperature) {
    int shown = 0, began = START != BOS && known && prompt[0] == START; /* the prompt begins so itself */
    forget();
    if (began) {
        show(*prompt++, !shown++);
        known--;
    }
    token[0] = START;
    for (int at = 0; at < BLOCK; at++) {
        place[0] = at;
        next_logits();
        int next = at < known ? prompt[at] : choose(temperature);
        if (next == BOS) break;
        show(next, !shown++);
        token[0] = next;
    }
    putchar('\n');
}
