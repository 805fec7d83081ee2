// SPDX-License-Identifier: BSD-2-Clause
#include "shim/cfi.h"

#include "shim/cfi_reader.h"

namespace m9 {
namespace {

// What is known of one register of the caller.
struct rule {
  enum : uint8_t { same, offset, undefined, other } kind;
  int64_t at; // offset: where it lies, from the CFA
};

struct row {
  uint64_t cfa_register;
  int64_t cfa_offset;
  rule rbp, rsp, ra;
};
constexpr uint64_t register_rbp = 6, register_rsp = 7, register_ra = 16, register_none = ~uint64_t{0};

struct entry { // a CIE and the FDE that refers to it
  uint64_t code_factor;
  int64_t data_factor;
  uint8_t encoding;
  bool has_sizes; // augmentation 'z'
  bool signal_frame;
  cfi_reader cie_program, program;
  unwind_function function;
};

// A CIE's or FDE's length and what follows it, cut to its end. `wide`: the 64-bit format.
cfi_reader record_open(const cfi_table &t, uint64_t offset, bool &wide) {
  cfi_reader r{t.bytes + (offset < t.size ? offset : t.size), t.bytes + t.size};
  uint64_t length = r.fixed(4);
  wide = length == 0xFFFFFFFF;
  if (wide)
    length = r.fixed(8);
  if (length > r.left() || length == 0)
    r.fail();
  r.end = r.at + (r.bad ? 0 : length);
  return r;
}

bool cie_read(const cfi_table &t, uint64_t offset, entry &e) {
  bool wide;
  cfi_reader r = record_open(t, offset, wide);
  if (r.fixed(wide ? 8 : 4) != 0 || r.bad)
    return false;
  uint8_t version = r.byte();
  if (version != 1 && version != 3)
    return false;
  const uint8_t *augmentation = r.at;
  while (r.byte() != 0 && !r.bad)
    ;
  e.code_factor = r.uleb();
  e.data_factor = r.sleb();
  uint64_t return_column = version == 1 ? r.byte() : r.uleb();
  if (r.bad || return_column != register_ra)
    return false;
  e.encoding = 0;
  e.has_sizes = *augmentation == 'z';
  if (e.has_sizes) {
    uint64_t size = r.uleb();
    if (size > r.left())
      return false;
    const uint8_t *data_end = r.at + size;
    while (*++augmentation) {
      if (*augmentation == 'R')
        e.encoding = r.byte();
      else if (*augmentation == 'L')
        r.byte();
      else if (*augmentation == 'P')
        cfi_pointer_plain(r, r.byte());
      else if (*augmentation == 'S')
        e.signal_frame = true;
      else
        return false;
    }
    if (r.bad || r.at > data_end)
      return false;
    r.at = data_end;
  } else if (*augmentation) {
    return false;
  }
  e.cie_program = r;
  return !r.bad;
}

bool fde_read(const cfi_table &t, uint64_t offset, uintptr_t pc, entry &e) {
  bool wide;
  cfi_reader r = record_open(t, offset, wide);
  auto field = uint64_t(r.at - t.bytes);
  uint64_t cie_distance = r.fixed(wide ? 8 : 4);
  if (r.bad || cie_distance == 0 || cie_distance > field || !cie_read(t, field - cie_distance, e))
    return false;
  e.function.start = cfi_pointer_read(r, e.encoding, t);
  e.function.size = cfi_pointer_plain(r, e.encoding);
  if (e.has_sizes)
    r.skip(r.uleb());
  e.program = r;
  return !r.bad && pc - e.function.start < e.function.size;
}

// The sorted table behind .eh_frame_hdr: the last entry that does not start behind pc gives the offset of its FDE.
bool header_search(const cfi_table &t, uintptr_t pc, uint64_t &fde) {
  cfi_reader r{t.bytes + (t.header < t.size ? t.header : t.size), t.bytes + t.size};
  uint8_t version = r.byte(), frame_encoding = r.byte(), count_encoding = r.byte(), encoding = r.byte();
  unsigned size = cfi_pointer_size(encoding);
  if (r.bad || version != 1 || count_encoding == omitted || encoding == omitted || size == 0)
    return false;
  if (frame_encoding != omitted)
    cfi_pointer_plain(r, frame_encoding);
  uint64_t count = cfi_pointer_read(r, count_encoding, t);
  if (r.bad || count > r.left() / (2 * size))
    return false;
  const uint8_t *table = r.at;
  uint64_t low = 0; // the entries below it do not start behind pc
  for (uint64_t high = count; low < high;) {
    uint64_t middle = low + (high - low) / 2;
    r.at = table + middle * 2 * size;
    if (cfi_pointer_read(r, encoding, t) <= pc)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0)
    return false;
  r.at = table + (low - 1) * 2 * size + size;
  fde = cfi_pointer_read(r, encoding, t) - t.address;
  return !r.bad && fde < t.size;
}

// Runs call frame instructions up to those behind pc.
class machine {
public:
  machine(const cfi_table &table, const entry &e, uintptr_t pc)
      : m_table(table), m_entry(e), m_pc(pc), m_location(e.function.start) {
    m_now = {register_none, 0, {}, {}, {}};
  }
  // False: something that cannot be.
  bool run_initial() {
    bool good = run(m_entry.cie_program);
    m_initial = m_now;
    return good;
  }
  bool run_rows() { return run(m_entry.program); }
  const row &now() const { return m_now; }

private:
  bool run(cfi_reader r) {
    if (r.left() > program_most)
      return false;
    while (r.at != r.end && m_location <= m_pc) {
      uint8_t code = r.byte(), operand = code & 0x3F;
      switch (code >> 6) {
      case 0:
        if (!run_plain(r, code))
          return false;
        break;
      case 1: // DW_CFA_advance_loc
        advance(operand);
        break;
      case 2: // DW_CFA_offset
        set(operand, rule::offset, int64_t(r.uleb() * uint64_t(m_entry.data_factor)));
        break;
      default: // DW_CFA_restore
        restore(operand);
      }
    }
    return !r.bad;
  }

  bool run_plain(cfi_reader &r, uint8_t code) {
    switch (code) {
    case 0x00: // DW_CFA_nop
      return true;
    case 0x01: // DW_CFA_set_loc
      m_location = cfi_pointer_read(r, m_entry.encoding, m_table);
      return true;
    case 0x02: // DW_CFA_advance_loc1, 2, 4, and MIPS's 8
      advance(r.byte());
      return true;
    case 0x03:
      advance(r.fixed(2));
      return true;
    case 0x04:
      advance(r.fixed(4));
      return true;
    case 0x1D:
      advance(r.fixed(8));
      return true;
    case 0x0A: // DW_CFA_remember_state
      if (m_depth == depth_most)
        return false;
      m_remembered[m_depth++] = m_now;
      return true;
    case 0x0B: // DW_CFA_restore_state
      if (m_depth == 0)
        return false;
      m_now = m_remembered[--m_depth];
      return true;
    case 0x2E: // DW_CFA_GNU_args_size
      r.uleb();
      return true;
    default:
      return code >= 0x0C && code <= 0x13 && code != 0x10 ? run_cfa(r, code) : run_register(r, code);
    }
  }

  bool run_cfa(cfi_reader &r, uint8_t code) {
    switch (code) {
    case 0x0C: // DW_CFA_def_cfa
      m_now.cfa_register = r.uleb();
      m_now.cfa_offset = int64_t(r.uleb());
      return true;
    case 0x0D: // DW_CFA_def_cfa_register
      m_now.cfa_register = r.uleb();
      return true;
    case 0x0E: // DW_CFA_def_cfa_offset
      m_now.cfa_offset = int64_t(r.uleb());
      return true;
    case 0x0F: // DW_CFA_def_cfa_expression
      m_now.cfa_register = register_none;
      r.skip(r.uleb());
      return true;
    case 0x12: // DW_CFA_def_cfa_sf
      m_now.cfa_register = r.uleb();
      [[fallthrough]];
    case 0x13: // DW_CFA_def_cfa_offset_sf
      m_now.cfa_offset = int64_t(uint64_t(r.sleb()) * uint64_t(m_entry.data_factor));
      return true;
    default: // DW_CFA_offset_extended_sf
      return run_register(r, code);
    }
  }

  bool run_register(cfi_reader &r, uint8_t code) {
    uint64_t number = r.uleb(), factor = uint64_t(m_entry.data_factor);
    switch (code) {
    case 0x05: // DW_CFA_offset_extended
      set(number, rule::offset, int64_t(r.uleb() * factor));
      return true;
    case 0x06: // DW_CFA_restore_extended
      restore(number);
      return true;
    case 0x07: // DW_CFA_undefined
      set(number, rule::undefined);
      return true;
    case 0x08: // DW_CFA_same_value
      set(number, rule::same);
      return true;
    case 0x09: // DW_CFA_register
    case 0x14: // DW_CFA_val_offset, and its signed form
    case 0x15:
      r.uleb();
      set(number, rule::other);
      return true;
    case 0x11: // DW_CFA_offset_extended_sf
      set(number, rule::offset, int64_t(uint64_t(r.sleb()) * factor));
      return true;
    case 0x2F: // DW_CFA_GNU_negative_offset_extended
      set(number, rule::offset, int64_t(-(r.uleb() * factor)));
      return true;
    case 0x10: // DW_CFA_expression
    case 0x16: // DW_CFA_val_expression
      r.skip(r.uleb());
      set(number, rule::other);
      return true;
    default:
      return false;
    }
  }

  void advance(uint64_t n) { m_location += n * m_entry.code_factor; }
  static rule *find(row &in, uint64_t number) {
    return number == register_rbp   ? &in.rbp
           : number == register_rsp ? &in.rsp
           : number == register_ra  ? &in.ra
                                    : nullptr;
  }
  void set(uint64_t number, decltype(rule::kind) kind, int64_t at = 0) {
    if (rule *known = find(m_now, number))
      *known = {kind, at};
  }
  void restore(uint64_t number) {
    if (rule *known = find(m_now, number))
      *known = *find(m_initial, number);
  }

  static constexpr unsigned depth_most = 8;          // compilers nest one deep
  static constexpr size_t program_most = 256 * 1024; // a wrong length costs no more than this

  const cfi_table &m_table;
  const entry &m_entry;
  uintptr_t m_pc, m_location;
  row m_now, m_initial = {}, m_remembered[depth_most];
  unsigned m_depth = 0;
};

bool fits(int64_t v) { return v == int32_t(v); }

unwind_step row_step(const row &now) {
  unwind_step step{unwind_base::none, unwind_end::other_row, 0, 0};
  if (now.ra.kind == rule::undefined)
    step.end = unwind_end::outermost;
  bool by_rsp = now.cfa_register == register_rsp;
  if (now.ra.kind != rule::offset || now.ra.at != -8 || now.rsp.kind != rule::same || !fits(now.cfa_offset) ||
      (by_rsp ? now.cfa_offset < 8 : now.cfa_register != register_rbp))
    return step;
  if (now.rbp.kind == rule::offset ? now.rbp.at == 0 || !fits(now.rbp.at) : now.rbp.kind != rule::same)
    return step;
  return {by_rsp ? unwind_base::rsp : unwind_base::rbp, unwind_end::none, int32_t(now.cfa_offset), int32_t(now.rbp.at)};
}

} // namespace

unwind_step cfi_step(const cfi_table &table, uintptr_t pc, unwind_function &function) {
  constexpr unwind_step unknown{unwind_base::none, unwind_end::unknown, 0, 0};
  function = {};
  uint64_t fde;
  entry e{};
  if (!header_search(table, pc, fde) || !fde_read(table, fde, pc, e))
    return unknown;
  function = e.function;
  if (e.signal_frame)
    return {unwind_base::none, unwind_end::other_row, 0, 0};
  machine m(table, e, pc);
  if (!m.run_initial() || !m.run_rows())
    return unknown;
  return row_step(m.now());
}

} // namespace m9
