/* What is typed: a prompt, and how to go on from it. */

#ifndef GPTLAB_NO_MAIN
int main(int count, char **words) {
    static int prompt[BLOCK];
    double temperature = count > 2 ? atof(words[2]) : 0.8;
    int samples = count > 3 ? atoi(words[3]) : 1;
    if (count > 5 || (count > 1 && strcmp(words[1], "--help") == 0)) {
        printf("%s [PROMPT [TEMPERATURE [SAMPLES [SEED]]]]\n", words[0]);
        return count > 5 ? 2 : 0;
    }
    if (count > 4) chance ^= (uint64_t)atoll(words[4]) * 2862933555777941757u;
    int known = count > 1 ? encode(words[1], prompt, BLOCK) : 0;
    if (known < 0) return 2;
    if (known >= BLOCK) {
        fprintf(stderr, "a prompt must be shorter than %d tokens\n", BLOCK);
        return 2;
    }
    for (int sample = 0; sample < samples; sample++) say(prompt, known, temperature);
    return 0;
}
#endif
