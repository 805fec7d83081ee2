// SPDX-License-Identifier: BSD-2-Clause
//
// Finds out whether an item has two owners: each owner writes its own pattern over all of an item and looks at it again
// before giving it back.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { owner_slots = 64 };

struct owner {
  uint64_t mark;   // no other owner has it
  uint64_t random; // state
  uint64_t allocs, frees, spoiled;
  uint64_t *items[owner_slots];
  size_t words[owner_slots];
};

static inline uint32_t owner_draw(struct owner *me) {
  me->random = me->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(me->random >> 33);
}

static inline void owner_release(struct owner *me, uint32_t slot) {
  for (size_t i = 0; i < me->words[slot]; i++)
    if (me->items[slot][i] != (me->mark << 32 | slot))
      me->spoiled++;
  free(me->items[slot]);
  me->frees++;
  me->items[slot] = NULL;
}

// `site` is the call site to allocate at. `limit` is the largest size in bytes.
static inline void owner_step(struct owner *me, void *(*site)(size_t), size_t limit) {
  uint32_t slot = owner_draw(me) % owner_slots;
  if (me->items[slot] != NULL) {
    owner_release(me, slot);
    return;
  }
  size_t size = 8 + owner_draw(me) % limit;
  me->items[slot] = site(size);
  if (me->items[slot] == NULL) {
    me->spoiled++;
    return;
  }
  me->allocs++;
  me->words[slot] = size / 8;
  for (size_t i = 0; i < me->words[slot]; i++)
    me->items[slot][i] = me->mark << 32 | slot;
}

static inline void owner_finish(struct owner *me) {
  for (uint32_t slot = 0; slot < owner_slots; slot++)
    if (me->items[slot] != NULL)
      owner_release(me, slot);
}
