// SPDX-License-Identifier: BSD-2-Clause
#include "core/wrapper.h"

#include "core/wrapper_names.h"
#include "shim/code.h"
#include "shim/text.h"

namespace m9 {
namespace {

constexpr unsigned count_words() {
  unsigned words = 0;
  for (const char *c = wrapper_names; *c; c++)
    words += *c == ' ';
  return words;
}

// Words are looked at in classes, of which a name can only be in four: by their first five bytes, by the first if a
// star comes sooner, by the last where they are an ending, and those with stars on both sides.
constexpr unsigned prefix_bytes = 5, by_first = 0, by_last = 128, by_prefix = 256, anywhere = 512, class_count = 513;
constexpr unsigned prefix_class(const char *text) {
  unsigned hash = 0;
  for (unsigned i = 0; i < prefix_bytes; i++)
    hash = hash * 31 + static_cast<unsigned char>(text[i]);
  return by_prefix + (hash ^ hash >> 8) % 256;
}
constexpr unsigned word_class(const char *word) {
  bool ending = *word == '*';
  unsigned n = ending;
  while (word[n] != ' ' && word[n] != '*')
    n++;
  if (!ending)
    return n >= prefix_bytes ? prefix_class(word) : by_first + static_cast<unsigned char>(word[0]) % 128;
  return word[n] == '*' ? anywhere : by_last + static_cast<unsigned char>(word[n - 1]) % 128;
}

// A bit for each two characters next to each other: a text with a word in it has all of the word's.
constexpr uint64_t pair_bit(char a, char b) {
  return uint64_t{1} << ((static_cast<unsigned char>(a) * 5u + static_cast<unsigned char>(b)) % 64);
}
constexpr uint64_t word_pairs(const char *word) {
  uint64_t pairs = 0;
  for (; word[0] != ' ' && word[1] != ' '; word++)
    if (word[0] != '*' && word[1] != '*')
      pairs |= pair_bit(word[0], word[1]);
  return pairs;
}

// Where the words begin, those of a class together.
struct word_index {
  uint16_t first[class_count + 1]; // of class c: start[first[c]] to start[first[c + 1]]
  uint16_t start[count_words()];
  uint64_t pairs[count_words()];
};
constexpr word_index index_make() {
  word_index index{};
  for (int pass = 0; pass < 2; pass++) {
    uint16_t next[class_count] = {};
    for (unsigned at = 0; wrapper_names[at]; at++) {
      if (wrapper_names[at] == ' ' || (at > 0 && wrapper_names[at - 1] != ' '))
        continue;
      unsigned c = word_class(wrapper_names + at);
      if (pass == 0)
        index.first[c + 1]++;
      else {
        unsigned i = unsigned{index.first[c]} + next[c]++;
        index.start[i] = uint16_t(at);
        index.pairs[i] = word_pairs(wrapper_names + at);
      }
    }
    for (unsigned c = 1; pass == 0 && c <= class_count; c++)
      index.first[c] = uint16_t(index.first[c] + index.first[c - 1]);
  }
  return index;
}
constexpr word_index words = index_make();
static_assert(sizeof wrapper_names < 65536 && words.first[class_count] == count_words()); // one space behind each word

// A later star takes over from an earlier one, so there is no search but the last one's.
bool matches_stars(const char *pattern, const char *text, const char *end) {
  const char *star = nullptr, *resume = nullptr;
  while (text != end) {
    if (*pattern == '*') {
      star = pattern++;
      // On to where the rest can begin.
      if (*pattern != ' ' && *pattern != '*' &&
          !(text = static_cast<const char *>(__builtin_memchr(text, *pattern, size_t(end - text)))))
        return false;
      resume = text;
    } else if (*pattern == *text) {
      pattern++, text++;
    } else if (star) {
      pattern = star + 1;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return *pattern == ' ';
}

// Most patterns that begin with a star are one ending.
bool matches(const char *pattern, const char *text, const char *end) {
  if (*pattern != '*')
    return matches_stars(pattern, text, end);
  size_t n = 0;
  while (pattern[1 + n] != ' ' && pattern[1 + n] != '*')
    n++;
  if (pattern[1 + n] == '*')
    return matches_stars(pattern, text, end);
  return n <= size_t(end - text) && __builtin_memcmp(end - n, pattern + 1, n) == 0;
}

bool any_matches(unsigned c, const char *text, const char *end, uint64_t pairs) {
  for (unsigned i = words.first[c]; i < words.first[c + 1]; i++)
    if ((words.pairs[i] & ~pairs) == 0 && matches(wrapper_names + words.start[i], text, end))
      return true;
  return false;
}

// Behind the name proper, compilers put ".part.0", ".constprop.0", ".lto_priv.0", ".cold"; Rust's mangling has dots
// too.
const char *name_end(const char *symbol) {
  const char *end = symbol;
  while (*end && (*end != '.' || end[1] == '.' || (end != symbol && end[-1] == '.')))
    end++;
  return end;
}

// vasprintf() and its kind only jump to an inner function of libc, that has no name and stands on the stack for them.
bool libc_inner(const wrapper_frame &frame) {
  constexpr char libc[] = "libc.so.";
  const char *file = text_base_name(frame.module->path);
  if (frame.start == 0 || text_length(file) < sizeof libc || __builtin_memcmp(file, libc, sizeof libc - 1) != 0)
    return false;
  static uintptr_t seen, outer; // there is one libc
  if (seen != frame.module->start) {
    seen = frame.module->start;
    outer = module_export(*frame.module, "vasprintf");
  }
  constexpr size_t look = 16;
  return outer != 0 && outer + look <= frame.module->end &&
         outer + uintptr_t(code_tail_jump(reinterpret_cast<const uint8_t *>(outer), look)) == frame.start;
}

} // namespace

bool wrapper_name(const char *symbol) {
  char plain[256];
  if (symbol[0] == '_' && symbol[1] == 'Z' && symbol[2] == 'N' && symbol[3] == 'K') {
    plain[0] = '_', plain[1] = 'Z', plain[2] = 'N';
    size_t n = 3;
    for (; symbol[n + 1] && n + 1 < sizeof plain; n++)
      plain[n] = symbol[n + 1];
    plain[n] = 0;
    symbol = plain;
  }
  const char *end = name_end(symbol);
  if (end == symbol)
    return false;
  uint64_t pairs = 0;
  for (const char *c = symbol; c + 1 < end; c++)
    pairs |= pair_bit(c[0], c[1]);
  return any_matches(by_first + static_cast<unsigned char>(symbol[0]) % 128, symbol, end, pairs) ||
         (end - symbol >= long{prefix_bytes} && any_matches(prefix_class(symbol), symbol, end, pairs)) ||
         any_matches(by_last + static_cast<unsigned char>(end[-1]) % 128, symbol, end, pairs) ||
         any_matches(anywhere, symbol, end, pairs);
}

// Measured on twelve programs' functions that have names (4,400 that are no wrappers, 134 of C that are): a size that
// is not a constant, up to 160 bytes and 6 calls finds 58% of the wrappers that call malloc themselves, and takes 4.1%
// of the others, most of which make something whose size their caller says. Up to 256 bytes and 8 calls it takes 7.5%:
// too much for frames further up (all of sqlite would be one type), but the frame that calls the allocator itself is
// longer when it tries again, or dies with a message. What is taken wrongly gets the name of its caller.
bool wrapper_code(const uint8_t *code, size_t size, size_t after, bool first) {
  return after <= size && size <= (first ? 256 : 160) && code_calls(code, size) <= (first ? 8u : 6u) &&
         !code_constant_argument(code, after);
}

bool wrapper_passes(const wrapper_frame &frame, const wrapper_frame *caller, bool first) {
  if (!frame.module)
    return false;
  if (frame.name)
    return wrapper_name(frame.name);
  size_t after = frame.return_address - frame.start;
  if (frame.start >= frame.module->start && frame.size <= frame.module->end - frame.start && after <= frame.size &&
      wrapper_code(reinterpret_cast<const uint8_t *>(frame.start), frame.size, after, first))
    return true;
  // Without a name, but a wrapper of the same module calls it: a part of that wrapper.
  if (caller && caller->module && caller->name && caller->module->start == frame.module->start &&
      wrapper_name(caller->name))
    return true;
  return libc_inner(frame);
}

} // namespace m9
