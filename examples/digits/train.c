/* A network that learns to read digits, from nothing but C and its library.
 *
 *   train --lr X --hidden N [--epochs N]
 *
 * The digits are made here: a font of 5 by 7 points, turned, stretched, moved and blurred into
 * images of 12 by 12, with noise on top. 4000 of them are learned from, 1000 others are the
 * validation. Pixels → hidden layer (tanh) → softmax, by plain
 * stochastic gradient descent with momentum.
 *
 * What makes it a good trial of an experiment:
 * - it adds a line of JSON to the file that FLAMBE_METRICS names, one an epoch;
 * - it keeps its state in the directory that FLAMBE_CHECKPOINT names, and goes on from there. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 12, PIXELS = SIDE * SIDE, DIGITS = 10, HIDDEN_MAX = 512 };
enum { TRAIN = 4000, VALID = 1000, BATCH = 20 };

static const char *const font[DIGITS][7] = {
    {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "},
    {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "},
    {" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"},
    {" ### ", "#   #", "    #", "  ## ", "    #", "#   #", " ### "},
    {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "},
    {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "},
    {"  ## ", " #   ", "#    ", "#### ", "#   #", "#   #", " ### "},
    {"#####", "    #", "   # ", "  #  ", " #   ", " #   ", " #   "},
    {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "},
    {" ### ", "#   #", "#   #", " ####", "    #", "   # ", " ##  "},
};

struct image {
    float pixel[PIXELS];
    int digit;
};

/* ---- random numbers: the same on every machine ------------------------------------------------
 */

static uint64_t random_bits(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double between(uint64_t *state, double lo, double hi)
{
    return lo + (hi - lo) * (double)(random_bits(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - between(state, 0, 1)));
    return radius * cos(between(state, 0, 2 * acos(-1)));
}

/* ---- data -------------------------------------------------------------------------------------
 */

static double font_point(int digit, int x, int y)
{
    return x >= 0 && x < 5 && y >= 0 && y < 7 && font[digit][y][x] == '#';
}

/* The font between its points, so that turned glyphs have grey edges. */
static double ink(int digit, double x, double y)
{
    int left = (int)floor(x), top = (int)floor(y);
    double dx = x - left, dy = y - top;
    double above = font_point(digit, left, top) * (1 - dx) + font_point(digit, left + 1, top) * dx;
    double below =
        font_point(digit, left, top + 1) * (1 - dx) + font_point(digit, left + 1, top + 1) * dx;
    return above * (1 - dy) + below * dy;
}

static void draw(uint64_t *state, struct image *out)
{
    out->digit = (int)(random_bits(state) % DIGITS);
    double turn = between(state, -0.25, 0.25);
    double wide = between(state, 1.1, 1.6), tall = between(state, 1.1, 1.6);
    double right = between(state, -1.5, 1.5), down = between(state, -1.2, 1.2);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double u = x - (SIDE - 1) / 2.0 - right, v = y - (SIDE - 1) / 2.0 - down;
            double gx = (u * cos(turn) + v * sin(turn)) / wide + 2;
            double gy = (v * cos(turn) - u * sin(turn)) / tall + 3;
            double value = ink(out->digit, gx, gy) + 0.2 * normal(state);
            out->pixel[y * SIDE + x] = (float)(value - 0.25);
        }
}

/* ---- the network ------------------------------------------------------------------------------
 */

struct layer {
    int in, out;
    float *weight, *speed, *gradient; /* out rows of in + 1: the last is the bias */
};

/* All that a checkpoint holds, beside the weights and speeds. */
struct progress {
    int hidden, epoch; /* epochs done */
    uint64_t random;
};

static size_t layer_size(const struct layer *l)
{
    return (size_t)l->out * (size_t)(l->in + 1);
}

static struct layer layer_make(int in, int out, uint64_t *state)
{
    struct layer l = {.in = in, .out = out};
    size_t n = layer_size(&l);
    l.weight = calloc(n, sizeof *l.weight);
    l.speed = calloc(n, sizeof *l.speed);
    l.gradient = calloc(n, sizeof *l.gradient);
    if (!l.weight || !l.speed || !l.gradient)
        exit(1);
    for (size_t i = 0; i < n; i++)
        l.weight[i] = (float)(normal(state) / sqrt(in));
    return l;
}

static void forward(const struct layer *l, const float *in, float *out)
{
    for (int i = 0; i < l->out; i++) {
        const float *w = l->weight + (size_t)i * (size_t)(l->in + 1);
        float sum = w[l->in];
        for (int k = 0; k < l->in; k++)
            sum += w[k] * in[k];
        out[i] = sum;
    }
}

/* Adds to the gradient; `back`, where given, gets what the inputs contributed. */
static void backward(struct layer *l, const float *in, const float *wrong, float *back)
{
    for (int k = 0; back && k < l->in; k++)
        back[k] = 0;
    for (int i = 0; i < l->out; i++) {
        size_t row = (size_t)i * (size_t)(l->in + 1);
        for (int k = 0; k < l->in; k++)
            l->gradient[row + (size_t)k] += wrong[i] * in[k];
        l->gradient[row + (size_t)l->in] += wrong[i];
        for (int k = 0; back && k < l->in; k++)
            back[k] += wrong[i] * l->weight[row + (size_t)k];
    }
}

static void step(struct layer *l, float lr)
{
    for (size_t i = 0; i < layer_size(l); i++) {
        l->speed[i] = 0.9f * l->speed[i] - lr * l->gradient[i] / BATCH;
        l->weight[i] += l->speed[i];
        l->gradient[i] = 0;
    }
}

/* Fills the hidden layer's values and the probabilities; returns the loss. */
static double predict(const struct layer *net, const struct image *image, float *hidden, float *p)
{
    forward(&net[0], image->pixel, hidden);
    for (int i = 0; i < net[0].out; i++)
        hidden[i] = tanhf(hidden[i]);
    forward(&net[1], hidden, p);
    float top = p[0], sum = 0;
    for (int i = 1; i < DIGITS; i++)
        top = fmaxf(top, p[i]);
    for (int i = 0; i < DIGITS; i++)
        sum += p[i] = expf(p[i] - top);
    for (int i = 0; i < DIGITS; i++)
        p[i] /= sum;
    return -log(fmax(p[image->digit], 1e-12));
}

/* An order of its own for each epoch, which depends on the state alone: a run that goes on from a
 * checkpoint learns what it would have learned without the stop. */
static void shuffle(int *order, int count, uint64_t *state)
{
    for (int i = 0; i < count; i++) {
        int k = (int)(random_bits(state) % (uint64_t)(i + 1));
        order[i] = order[k];
        order[k] = i;
    }
}

static double learn(struct layer *net, const struct image *images, float lr, uint64_t *state)
{
    float hidden[HIDDEN_MAX], wrong_hidden[HIDDEN_MAX], p[DIGITS];
    int order[TRAIN];
    double loss = 0;
    shuffle(order, TRAIN, state);
    for (int i = 0; i < TRAIN; i++) {
        const struct image *image = &images[order[i]];
        loss += predict(net, image, hidden, p);
        p[image->digit] -= 1;
        backward(&net[1], hidden, p, wrong_hidden);
        for (int k = 0; k < net[0].out; k++)
            wrong_hidden[k] *= 1 - hidden[k] * hidden[k];
        backward(&net[0], image->pixel, wrong_hidden, NULL);
        if ((i + 1) % BATCH == 0) {
            step(&net[0], lr);
            step(&net[1], lr);
        }
    }
    return loss / TRAIN;
}

static double validate(const struct layer *net, const struct image *images, double *loss)
{
    float hidden[HIDDEN_MAX], p[DIGITS];
    int right = 0;
    *loss = 0;
    for (int i = 0; i < VALID; i++) {
        int best = 0;
        *loss += predict(net, &images[i], hidden, p) / VALID;
        for (int k = 1; k < DIGITS; k++)
            best = p[k] > p[best] ? k : best;
        right += best == images[i].digit;
    }
    return (double)right / VALID;
}

/* ---- metrics and checkpoints ------------------------------------------------------------------
 */

static void report(const struct progress *at, double train_loss, double loss, double accuracy)
{
    const char *path = getenv("FLAMBE_METRICS");
    FILE *f = path ? fopen(path, "a") : NULL;
    printf("epoch %2d  loss %.4f  validation loss %.4f  accuracy %.3f\n", at->epoch, train_loss,
           loss, accuracy);
    fflush(stdout);
    if (!f)
        return;
    /* JSON's readers want NaN written so; C writes nan. */
    fprintf(f, "{\"step\": %d, \"val_accuracy\": %.4f", at->epoch, accuracy);
    fprintf(f, isfinite(loss) ? ", \"val_loss\": %.6f" : ", \"val_loss\": NaN", loss);
    fprintf(f, isfinite(train_loss) ? ", \"train_loss\": %.6f}\n" : ", \"train_loss\": NaN}\n",
            train_loss);
    fclose(f);
}

/* Writes it beside and renames it: a checkpoint is whole or not there. */
static void keep(const struct progress *at, const struct layer *net)
{
    const char *directory = getenv("FLAMBE_CHECKPOINT");
    char path[4096], beside[4200];
    if (!directory || snprintf(path, sizeof path, "%s/state", directory) >= (int)sizeof path)
        return;
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *f = fopen(beside, "wb");
    if (!f)
        return;
    int ok = fwrite(at, sizeof *at, 1, f) == 1;
    for (int i = 0; i < 2; i++) {
        ok = ok &&
             fwrite(net[i].weight, sizeof(float), layer_size(&net[i]), f) == layer_size(&net[i]);
        ok = ok &&
             fwrite(net[i].speed, sizeof(float), layer_size(&net[i]), f) == layer_size(&net[i]);
    }
    if (fclose(f) == 0 && ok)
        rename(beside, path);
}

static void go_on(struct progress *at, struct layer *net)
{
    const char *directory = getenv("FLAMBE_CHECKPOINT");
    char path[4096];
    struct progress was;
    if (!directory || snprintf(path, sizeof path, "%s/state", directory) >= (int)sizeof path)
        return;
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    int ok = fread(&was, sizeof was, 1, f) == 1 && was.hidden == at->hidden;
    for (int i = 0; ok && i < 2; i++) {
        ok = ok &&
             fread(net[i].weight, sizeof(float), layer_size(&net[i]), f) == layer_size(&net[i]);
        ok =
            ok && fread(net[i].speed, sizeof(float), layer_size(&net[i]), f) == layer_size(&net[i]);
    }
    fclose(f);
    if (!ok) {
        fprintf(stderr, "%s is not of this network\n", path);
        exit(1);
    }
    *at = was;
    printf("going on behind epoch %d\n", at->epoch);
}

int main(int argc, char **argv)
{
    static struct image train[TRAIN], valid[VALID];
    uint64_t data = 1, random = 2;
    double lr = 0.1, loss;
    int hidden = 32, epochs = 20;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--lr") == 0)
            lr = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--hidden") == 0)
            hidden = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--epochs") == 0)
            epochs = (int)strtol(argv[i + 1], NULL, 10);
        else
            return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    if (hidden < 1 || hidden > HIDDEN_MAX)
        return fprintf(stderr, "--hidden is from 1 to %d\n", HIDDEN_MAX), 2;
    for (int i = 0; i < TRAIN; i++)
        draw(&data, &train[i]);
    for (int i = 0; i < VALID; i++)
        draw(&data, &valid[i]);
    struct layer net[] = {layer_make(PIXELS, hidden, &random), layer_make(hidden, DIGITS, &random)};
    struct progress at = {.hidden = hidden, .random = random};
    go_on(&at, net);
    while (at.epoch < epochs) {
        double train_loss = learn(net, train, (float)lr, &at.random);
        at.epoch++;
        double accuracy = validate(net, valid, &loss);
        report(&at, train_loss, loss, accuracy);
        keep(&at, net);
    }
    return 0;
}
