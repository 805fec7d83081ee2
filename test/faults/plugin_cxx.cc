// SPDX-License-Identifier: BSD-2-Clause
//
// A C++ library for a C program: asks for too much and catches std::bad_alloc.
#include <cstddef>
#include <new>

extern "C" int plugin_catches(size_t size);

int plugin_catches(size_t size) {
  try {
    void *p = ::operator new(size);
    ::operator delete(p);
  } catch (const std::bad_alloc &) {
    return 1;
  }
  return 0;
}
