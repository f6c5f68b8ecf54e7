/* The training: each step's documents, as the run that this was exported from takes them. */

static void train(int steps, int every) {
    for (size_t at = 0; at < (size_t)steps; at++) {
        memcpy(tokens, documents + at * (sizeof tokens / sizeof *tokens), sizeof tokens);
        memcpy(lengths, sizes + at * (sizeof lengths / sizeof *lengths), sizeof lengths);
        step[0] = at + 1;
        rate[0] = rates[at];
        train_step();
        int now = (int)at + 1;
        if (now == 1 || now == steps || now % every == 0) printf("step %d: loss %.7g\n", now, loss[0]);
        fflush(stdout);
    }
}

#ifndef GPTLAB_NO_MAIN
int main(int count, char **words) {
    int steps = count > 1 ? atoi(words[1]) : STEPS;
    if (count > 2 || steps < 1 || steps > STEPS) {
        fprintf(stderr, "%s [STEPS], at most %d\n", words[0], STEPS);
        return 2;
    }
    train(steps, steps > 20 ? steps / 20 : 1);
    for (int sample = 0; sample < 5; sample++) say(0, 0, 0.8);
    return 0;
}
#endif
