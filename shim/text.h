// SPDX-License-Identifier: BSD-2-Clause
//
// Text put together without allocation: a fixed buffer that cuts what does not fit, always terminated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

template <size_t N> class text_buffer {
public:
  text_buffer &add(const char *s) {
    while (s && *s)
      put(*s++);
    return *this;
  }
  text_buffer &add(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
      put(s[i]);
    return *this;
  }
  text_buffer &put(char c) {
    if (m_size + 1 < N) {
      m_data[m_size++] = c;
      m_data[m_size] = 0;
    }
    return *this;
  }
  text_buffer &number(uint64_t v, unsigned base = 10) {
    char digits[20];
    unsigned n = 0;
    do {
      digits[n++] = "0123456789abcdef"[v % base];
      v /= base;
    } while (v);
    while (n)
      put(digits[--n]);
    return *this;
  }
  text_buffer &hex(uint64_t v) { return add("0x").number(v, 16); }
  void clear() {
    m_size = 0;
    m_data[0] = 0;
  }
  const char *c_str() const { return m_data; }
  size_t size() const { return m_size; }

private:
  char m_data[N] = {};
  size_t m_size = 0;
};

inline size_t text_length(const char *s) {
  size_t n = 0;
  while (s[n])
    n++;
  return n;
}

inline bool text_equal(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}

// The part of a path behind its last slash.
inline const char *text_base_name(const char *path) {
  const char *name = path;
  for (const char *s = path; *s; s++)
    if (*s == '/')
      name = s + 1;
  return name;
}

} // namespace m9
