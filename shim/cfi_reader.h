// SPDX-License-Identifier: BSD-2-Clause
//
// The bytes of .eh_frame: numbers and encoded pointers, read forward and never past the end that was given. Behind the
// end everything is 0 and `bad` stays set.
#pragma once

#include "shim/cfi.h"

namespace m9 {

struct cfi_reader {
  const uint8_t *at;
  const uint8_t *end;
  bool bad = false;

  size_t left() const { return size_t(end - at); }
  void fail() {
    bad = true;
    at = end;
  }
  void skip(uint64_t n) { n <= left() ? void(at += n) : fail(); }
  uint64_t fixed(unsigned n) {
    uint64_t v = 0;
    if (n > left())
      return fail(), 0;
    __builtin_memcpy(&v, at, n);
    at += n;
    return v;
  }
  int64_t fixed_signed(unsigned n) {
    unsigned unused = 64 - n * 8;
    return int64_t(fixed(n) << unused) >> unused;
  }
  uint8_t byte() { return uint8_t(fixed(1)); }
  // Bits beyond 64 are dropped, as in other readers; an encoding is at most 10 bytes here.
  uint64_t leb(bool is_signed) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && at != end; shift += 7) {
      uint8_t b = *at++;
      v |= uint64_t{b & 0x7Fu} << shift;
      if (b & 0x80)
        continue;
      if (is_signed && (b & 0x40) && shift + 7 < 64)
        v |= ~uint64_t{0} << (shift + 7);
      return v;
    }
    return fail(), 0;
  }
  uint64_t uleb() { return leb(false); }
  int64_t sleb() { return int64_t(leb(true)); }
};

// How a pointer is written (DW_EH_PE_*): the format in the low four bits, what it is relative to in the next three.
enum cfi_encoding : uint8_t {
  relative_mask = 0x70,
  relative_pc = 0x10,
  relative_header = 0x30,
  aligned = 0x50,
  indirect = 0x80,
  omitted = 0xFF
};

inline uint64_t cfi_pointer_plain(cfi_reader &r, uint8_t encoding) {
  if ((encoding & relative_mask) == aligned)
    return r.fail(), 0;
  switch (encoding & 15) {
  case 0:
  case 4:
  case 12:
    return r.fixed(8);
  case 1:
    return r.uleb();
  case 2:
    return r.fixed(2);
  case 3:
    return r.fixed(4);
  case 9:
    return uint64_t(r.sleb());
  case 10:
    return uint64_t(r.fixed_signed(2));
  case 11:
    return uint64_t(r.fixed_signed(4));
  default:
    return r.fail(), 0;
  }
}

inline unsigned cfi_pointer_size(uint8_t encoding) { // 0: it varies
  unsigned format = encoding & 7;
  return format == 2 ? 2 : format == 3 ? 4 : format == 4 || (encoding & 15) == 0 ? 8 : 0;
}

inline uint64_t cfi_pointer_read(cfi_reader &r, uint8_t encoding, const cfi_table &t) {
  uint64_t field = t.address + uint64_t(r.at - t.bytes);
  uint64_t v = cfi_pointer_plain(r, encoding);
  if (encoding & indirect)
    return r.fail(), 0;
  switch (encoding & relative_mask) {
  case 0:
    return v;
  case relative_pc:
    return v + field;
  case relative_header:
    return v + t.address + t.header;
  default:
    return r.fail(), 0;
  }
}

} // namespace m9
