// SPDX-License-Identifier: BSD-2-Clause
//
// rows FILE...: reads every row of every function in the files' .eh_frame twice, by shim/cfi.cc and by elfutils' libdw,
// and says where the two differ. Prints what share of the rows is of each kind; status 1 when any differs.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>

#include "shim/cfi.h"

namespace {

// How the other reader's row reads, in our words.
m9::unwind_step step_of(Dwarf_Frame *frame) {
  m9::unwind_step step{m9::unwind_base::none, m9::unwind_end::other_row, 0, 0};
  Dwarf_Addr start, end;
  bool signal = false;
  if (dwarf_frame_info(frame, &start, &end, &signal) != 16 || signal)
    return step;
  Dwarf_Op memory[3], *ops = nullptr;
  size_t count = 0;
  bool ra_plain = dwarf_frame_register(frame, 16, memory, &ops, &count) == 0 && count == 2 &&
                  ops[0].atom == DW_OP_call_frame_cfa && ops[1].atom == DW_OP_plus_uconst &&
                  int64_t(ops[1].number) == -8;
  if (count == 0 && ops == memory) {
    step.end = m9::unwind_end::outermost;
    return step;
  }
  if (!ra_plain)
    return step;
  // As the ABI has it when nothing is said: the CFA itself.
  if (dwarf_frame_register(frame, 7, memory, &ops, &count) != 0 || count != 2 || ops[0].atom != DW_OP_call_frame_cfa ||
      ops[1].atom != DW_OP_stack_value)
    return step;
  int64_t rbp = 0;
  if (dwarf_frame_register(frame, 6, memory, &ops, &count) != 0)
    return step;
  if (count == 0 && ops == memory) // undefined
    return step;
  if (count != 0) {
    if (ops[0].atom != DW_OP_call_frame_cfa || count != 2 || ops[1].atom != DW_OP_plus_uconst)
      return step;
    rbp = int64_t(ops[1].number);
  }
  if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count != 1)
    return step;
  int64_t cfa = int64_t(ops[0].number);
  unsigned base = 0;
  if (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31)
    base = ops[0].atom - DW_OP_breg0;
  else if (ops[0].atom == DW_OP_bregx) {
    base = unsigned(ops[0].number);
    cfa = int64_t(ops[0].number2);
  } else
    return step;
  if (base != 6 && (base != 7 || cfa < 8))
    return step;
  return {base == 7 ? m9::unwind_base::rsp : m9::unwind_base::rbp, m9::unwind_end::none, int32_t(cfa), int32_t(rbp)};
}

struct counts {
  unsigned long functions, rows, kinds[3], outermost, differ;
};

class file {
public:
  explicit file(const char *path) : m_path(path) {
    m_fd = open(path, O_RDONLY | O_CLOEXEC);
    m_elf = m_fd < 0 ? nullptr : elf_begin(m_fd, ELF_C_READ_MMAP, nullptr);
    m_cfi = m_elf ? dwarf_getcfi_elf(m_elf) : nullptr;
  }
  ~file() {
    if (m_cfi)
      dwarf_cfi_end(m_cfi);
    elf_end(m_elf);
    close(m_fd);
  }
  file(const file &) = delete;
  file &operator=(const file &) = delete;

  bool compare(counts &sum) {
    if (!m_cfi || !find_table())
      return false;
    // .eh_frame_hdr as every linker here writes it: the test reads only that, to know where functions start.
    const uint8_t *header = m_table.bytes + m_table.header;
    if (header[0] != 1 || header[2] != 0x03 || header[3] != 0x3B)
      return false;
    uint32_t count = value<uint32_t>(header + 8);
    for (uint32_t i = 0; i < count; i++)
      compare_function(m_table.address + m_table.header + uintptr_t(value<int32_t>(header + 12 + i * 8)), sum);
    return count != 0;
  }

private:
  template <typename T> static T value(const uint8_t *at) {
    T v;
    __builtin_memcpy(&v, at, sizeof v);
    return v;
  }

  bool find_table() {
    size_t count, size;
    auto *image = reinterpret_cast<const uint8_t *>(elf_rawfile(m_elf, &size));
    if (!image || elf_getphdrnum(m_elf, &count) != 0)
      return false;
    GElf_Phdr header{}, p;
    for (size_t i = 0; i < count; i++)
      if (gelf_getphdr(m_elf, int(i), &p) && p.p_type == PT_GNU_EH_FRAME)
        header = p;
    for (size_t i = 0; i < count; i++)
      if (gelf_getphdr(m_elf, int(i), &p) && p.p_type == PT_LOAD && header.p_filesz != 0 &&
          header.p_vaddr - p.p_vaddr < p.p_filesz) {
        m_table = {image + p.p_offset, p.p_filesz, p.p_vaddr, header.p_vaddr - p.p_vaddr};
        return true;
      }
    return false;
  }

  void compare_function(uintptr_t start, counts &sum) {
    m9::unwind_function function;
    cfi_step(m_table, start, function);
    sum.functions++;
    if (function.start != start || function.size == 0) {
      std::printf("%s: %#zx: no function\n", m_path, start);
      sum.differ++;
      return;
    }
    for (uintptr_t pc = start; pc < start + function.size;) {
      Dwarf_Frame *frame;
      if (dwarf_cfi_addrframe(m_cfi, pc, &frame) != 0) {
        std::printf("%s: %#zx: libdw: %s\n", m_path, pc, dwarf_errmsg(-1));
        sum.differ++;
        return;
      }
      Dwarf_Addr row_start, row_end;
      dwarf_frame_info(frame, &row_start, &row_end, nullptr);
      const m9::unwind_step theirs = step_of(frame);
      std::free(frame);
      compare_at(pc, theirs, sum);
      compare_at(row_end - 1, theirs, sum);
      sum.rows++;
      sum.kinds[int(theirs.base)]++;
      sum.outermost += theirs.end == m9::unwind_end::outermost;
      pc = row_end;
    }
  }

  void compare_at(uintptr_t pc, const m9::unwind_step &theirs, counts &sum) {
    m9::unwind_function function;
    const m9::unwind_step ours = cfi_step(m_table, pc, function);
    if (ours.base == theirs.base && ours.end == theirs.end && ours.cfa == theirs.cfa && ours.rbp == theirs.rbp)
      return;
    if (sum.differ++ < 20)
      std::printf("%s: %#zx: ours %d %d %d %d, libdw's %d %d %d %d\n", m_path, pc, int(ours.base), int(ours.end),
                  ours.cfa, ours.rbp, int(theirs.base), int(theirs.end), theirs.cfa, theirs.rbp);
  }

  const char *m_path;
  int m_fd;
  Elf *m_elf;
  Dwarf_CFI *m_cfi;
  m9::cfi_table m_table = {};
};

} // namespace

int main(int argc, char **argv) {
  elf_version(EV_CURRENT);
  bool good = argc > 1;
  for (int i = 1; i < argc; i++) {
    counts sum{};
    if (!file(argv[i]).compare(sum)) {
      std::printf("%s: no .eh_frame that can be read\n", argv[i]);
      good = false;
      continue;
    }
    const double all = double(sum.rows) / 100;
    std::printf("%s: %lu functions, %lu rows: %.2f%% rsp, %.2f%% rbp, %.2f%% none (%lu outermost); %lu differ\n",
                argv[i], sum.functions, sum.rows, double(sum.kinds[1]) / all, double(sum.kinds[2]) / all,
                double(sum.kinds[0]) / all, sum.outermost, sum.differ);
    good = good && sum.differ == 0 && sum.rows > sum.functions;
  }
  return good ? 0 : 1;
}
