// SPDX-License-Identifier: BSD-2-Clause
// A program to be debugged: threads that meet at a barrier while a list is built from malloc'ed nodes.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
  struct node *next;
  int value;
};

static pthread_barrier_t meeting;
static struct node *heads[3];

int leaf(struct node *head, int wanted) {
  int found = 0;
  for (struct node *n = head; n != NULL; n = n->next)
    found += n->value == wanted;
  return found;
}

int middle(int id) { return leaf(heads[id], id * 10); }

static void *thread_main(void *arg) {
  int id = (int)(size_t)arg;
  for (int i = 0; i < 50; i++) {
    struct node *n = malloc(sizeof *n);
    if (n == NULL)
      abort();
    n->value = i;
    n->next = heads[id];
    heads[id] = n;
  }
  pthread_barrier_wait(&meeting);
  pthread_barrier_wait(&meeting);
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  pthread_barrier_init(&meeting, NULL, 4);
  for (size_t i = 0; i < 3; i++)
    pthread_create(&threads[i], NULL, thread_main, (void *)i);
  pthread_barrier_wait(&meeting);
  int sum = 0;
  for (int i = 0; i < 3; i++)
    sum += middle(i);
  pthread_barrier_wait(&meeting);
  for (size_t i = 0; i < 3; i++)
    pthread_join(threads[i], NULL);
  for (size_t i = 0; i < 3; i++)
    while (heads[i] != NULL) {
      struct node *n = heads[i];
      heads[i] = n->next;
      free(n);
    }
  printf("sum %d\n", sum);
  return 0;
}
