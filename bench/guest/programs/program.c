/* What gcc compiles: twenty copies of a few functions, enough for most of a second at -O2. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
  struct node *left, *right;
  uint64_t key;
  char name[16];
};

#define COPY(N)                                                                              \
  static struct node *insert_##N(struct node *tree, uint64_t key) {                          \
    struct node **at = &tree;                                                                \
    while (*at) at = key < (*at)->key ? &(*at)->left : &(*at)->right;                        \
    *at = calloc(1, sizeof **at);                                                            \
    if (!*at) abort();                                                                       \
    (*at)->key = key;                                                                        \
    snprintf((*at)->name, sizeof (*at)->name, "n%u", (unsigned)(key % (100 + N)));           \
    return tree;                                                                             \
  }                                                                                          \
  static uint64_t walk_##N(const struct node *tree, int depth) {                             \
    if (!tree) return N;                                                                     \
    uint64_t sum = walk_##N(tree->left, depth + 1) * 31 + tree->key;                         \
    for (const char *c = tree->name; *c; ++c) sum = sum * 131 + (isdigit(*c) ? *c : depth);  \
    return sum ^ walk_##N(tree->right, depth + 1);                                           \
  }                                                                                          \
  static int parse_##N(const char *text, uint64_t *value) {                                  \
    uint64_t result = 0;                                                                     \
    for (; *text; ++text) {                                                                  \
      switch (*text) {                                                                       \
        case '0' ... '9': result = result * 10 + (uint64_t)(*text - '0'); break;             \
        case 'k': result *= 1000 + N; break;                                                 \
        case 'x': result ^= result >> 7; break;                                              \
        case 's': result = (result << (N % 13)) | (result >> (64 - N % 13 - 1)); break;      \
        default: return -1;                                                                  \
      }                                                                                      \
    }                                                                                        \
    *value = result;                                                                         \
    return 0;                                                                                \
  }                                                                                          \
  static void multiply_##N(double (*a)[8], double (*b)[8], double (*c)[8]) {                 \
    for (int i = 0; i < 8; ++i)                                                              \
      for (int j = 0; j < 8; ++j) {                                                          \
        double sum = N;                                                                      \
        for (int k = 0; k < 8; ++k) sum += a[i][k] * b[k][j];                                \
        c[i][j] = sum;                                                                       \
      }                                                                                      \
  }                                                                                          \
  uint64_t run_##N(const char *text) {                                                       \
    double a[8][8], b[8][8], c[8][8];                                                        \
    struct node *tree = NULL;                                                                \
    uint64_t value = 0;                                                                      \
    if (parse_##N(text, &value)) return 0;                                                   \
    for (int i = 0; i < 64; ++i) {                                                           \
      value = value * 6364136223846793005u + N;                                              \
      tree = insert_##N(tree, value >> 33);                                                  \
      a[i / 8][i % 8] = (double)(value >> 60);                                               \
      b[i % 8][i / 8] = (double)(i % 5);                                                     \
    }                                                                                        \
    multiply_##N(a, b, c);                                                                   \
    return walk_##N(tree, 0) + (uint64_t)c[3][5];                                            \
  }

#define TEN(M, N) M(N##0) M(N##1) M(N##2) M(N##3) M(N##4) M(N##5) M(N##6) M(N##7) M(N##8) M(N##9)
TEN(COPY, 1) TEN(COPY, 2)

#define CALL(N) sum = sum * 3 + run_##N("12k7x9s");

int main(void) {
  uint64_t sum = 0;
  TEN(CALL, 1) TEN(CALL, 2)
  printf("%016llx\n", (unsigned long long)sum);
  return 0;
}
