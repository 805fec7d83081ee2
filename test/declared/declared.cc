// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9.h from C++20: objects as scopes, what the standard library allocates in them, exceptions out of them.
#include "test/declared/books.h"

#include <string>
#include <vector>

MALLOC_DEFINE(M_STRINGS, "strings", "contents of strings");
static MALLOC_DEFINE(M_INNER, "inner", "what nested scopes make");

namespace {

book strings{"strings", 0, 0, 0, 0}, inner{"inner", 0, 0, 0, 0};

void note(book &b, const void *data) { book_made(&b, const_cast<void *>(data)); }

void throws() {
  const malloc9_scope scope(M_INNER);
  auto *p = new char[100];
  note(inner, p);
  book_gone(&inner, p);
  delete[] p;
  throw 5;
}

} // namespace

int main() {
  std::vector<std::string> all;
  all.reserve(200); // by its caller
  {
    const malloc9_scope scope(M_STRINGS);
    for (int i = 0; i < 100; i++) {
      all.emplace_back(size_t(100 + i), 'x');
      note(strings, all.back().data());
    }
    {
      const malloc9_scope nested(M_INNER);
      for (int i = 0; i < 10; i++) {
        all.emplace_back(1000, 'y');
        note(inner, all.back().data());
      }
    }
    int caught = 0;
    try {
      throws();
    } catch (int value) {
      caught = value;
    }
    CHECK(caught == 5);
    inner.numallocs++, inner.numfrees++; // the exception itself
    all.emplace_back(5000, 'z');         // the exception left the inner scope
    note(strings, all.back().data());
  }
  for (const std::string &s : all)
    book_gone(s[0] == 'y' ? &inner : &strings, const_cast<char *>(s.data()));
  all.clear();
  all.shrink_to_fit();
  int *p = static_cast<int *>(malloc9(sizeof *p, M_STRINGS, M_WAITOK | M_ZERO));
  CHECK(*p == 0);
  note(strings, p);
  free9(book_gone(&strings, p), M_STRINGS);
  const book both[] = {strings, inner};
  books_print(both, 2);
}
