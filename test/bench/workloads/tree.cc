// SPDX-License-Identifier: BSD-2-Clause
//
// A tree that grows and shrinks by whole branches, as a parser's or a planner's does: a branch at a random place is
// freed and another one grown there, of nodes of three sizes, some with a payload of its own.
#include "test/bench/workloads/workload.h"

namespace bench {

namespace {

struct node {
  node *left;
  node *right;
  uint64_t *payload; // or nullptr
  uint64_t value;
};

struct forester {
  random_source random{5};
  uint64_t check = 0;

  // Three sizes of nodes: 32, 48 and 72 bytes.
  node *grow(unsigned depth) {
    if (depth == 0)
      return nullptr;
    const uint64_t bits = random.next();
    constexpr size_t extra[4] = {0, 16, 40, 16};
    auto *n = static_cast<node *>(checked(malloc(sizeof(node) + extra[bits & 3])));
    n->value = bits;
    n->payload = (bits & 12) == 0 ? item_make(8 + (bits >> 8) % 120, bits) : nullptr;
    n->left = grow(depth - 1);
    n->right = (bits & 48) == 0 ? nullptr : grow(depth - 1);
    return n;
  }

  void cut(node *n) {
    if (!n)
      return;
    check += n->value;
    cut(n->left);
    if (n->payload && *n->payload != n->value)
      fail("the tree's payload changed");
    free(n->payload);
    cut(n->right);
    free(n);
  }

  // A place `steps` levels down, or as deep as the tree goes on the way.
  node **place(node **root, unsigned steps) {
    node **at = root;
    for (uint64_t bits = random.next(); steps && *at; steps--, bits >>= 1)
      at = bits & 1 ? &(*at)->left : &(*at)->right;
    return at;
  }
};

} // namespace

outcome tree(const options &o) {
  constexpr unsigned depth = 13;
  forester f;
  node *root = f.grow(depth);
  for (uint64_t i = o.scaled(60e3); i; i--) {
    const unsigned steps = 3 + unsigned(f.random.below(5));
    node **at = f.place(&root, steps);
    f.cut(*at);
    *at = f.grow(depth - steps);
  }
  f.cut(root);
  outcome x;
  x.check = f.check;
  return x;
}

} // namespace bench
