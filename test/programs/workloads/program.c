// SPDX-License-Identifier: BSD-2-Clause
// A C program with enough in it to keep a compiler busy: macros, tables, structs, floating point, inlining.
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
  struct node *left, *right;
  unsigned key;
  char text[12];
};

#define REPEAT2(m, n) m(n) m(n##0)
#define REPEAT4(m, n) REPEAT2(m, n##1) REPEAT2(m, n##2)
#define REPEAT16(m) REPEAT4(m, 1) REPEAT4(m, 2) REPEAT4(m, 3) REPEAT4(m, 4)

#define FUNCTION(n)                                                                                                    \
  static double polynomial_##n(double x) {                                                                             \
    double sum = 0;                                                                                                    \
    for (int i = 0; i < n % 13 + 3; i++)                                                                               \
      sum = sum * x + (n % 7 + i) / (1.0 + i);                                                                         \
    return sin(sum) + sqrt(fabs(sum));                                                                                 \
  }
REPEAT16(FUNCTION)

#define ENTRY(n) {#n, polynomial_##n},
static const struct {
  const char *name;
  double (*call)(double);
} table[] = {REPEAT16(ENTRY)};

static struct node *insert(struct node *top, unsigned key) {
  if (top == NULL) {
    struct node *made = calloc(1, sizeof *made);
    if (made == NULL)
      abort();
    made->key = key;
    snprintf(made->text, sizeof made->text, "%u", key);
    return made;
  }
  if (key < top->key)
    top->left = insert(top->left, key);
  else if (key > top->key)
    top->right = insert(top->right, key);
  return top;
}

static uint64_t walk(struct node *top, uint64_t sum) {
  if (top == NULL)
    return sum;
  sum = walk(top->left, sum * 31 + strlen(top->text));
  sum = walk(top->right, sum ^ top->key);
  free(top);
  return sum;
}

int main(void) {
  struct node *top = NULL;
  unsigned state = 1;
  for (int i = 0; i < 20000; i++) {
    state = state * 1103515245u + 12345u;
    top = insert(top, state >> 12);
  }
  printf("%" PRIu64 "\n", walk(top, 1));
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    printf("%s %.9f\n", table[i].name, table[i].call(1.25));
  return 0;
}
