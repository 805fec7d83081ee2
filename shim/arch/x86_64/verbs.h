// SPDX-License-Identifier: BSD-2-Clause
//
// The per-CPU verbs as rseq critical sections, x86-64 (the kernel's Documentation/ABI of rseq(2), glibc's
// registration). Each section is specified by the pseudo-code above it. What holds for all of them:
//   - `c` is the block of the CPU the thread runs on; an unregistered thread reads cpu_id -1 or -2 and so gets one of
//     the read-only blocks below percpu.base, where every cache is empty and full at once: it leaves without a store.
//   - A section that is aborted (preempted, migrated, signalled) runs again from its start, so nothing before its first
//     commit matters. Sections are left by jumping out; the kernel clears rseq_cs by itself.
//   - The commit of a cache is one read-modify-write instruction, so it never loses a stop flag that another CPU set
//     in between. Where a second store follows it, the carry flag tells the abort handler whether it happened: carry is
//     set before, the commit clears it in the same instruction that stores, INC leaves it alone, and an abort preserves
//     registers and flags. While carry is not yet set, t says so: it is no address yet, but an offset.
//   - An index is stored and loaded by one register without a scale. An Intel Xeon then handed it from the free to the
//     malloc behind it without waiting for the addresses of the stores in between: 5.6 ns a pair in place of 8.3.
//   - The count is read before the owner, and whoever gives a cache another owner stops it, waits until sections that
//     saw it run are aborted, and writes the owner before the count: a section that sees the cache run sees its owner.
#pragma once

#include <cstdint>

#include "shim/percpu_layout.h"

namespace m9 {

// The same value, of which the compiler knows nothing.
[[gnu::always_inline]] inline uint64_t opaque(uint64_t x) {
  asm("" : "+r"(x));
  return x;
}

// Loads in front of it are made before those behind it. The processor keeps their order; the compiler is told.
[[gnu::always_inline]] inline void loads_in_order() { asm volatile("" ::: "memory"); }

} // namespace m9

namespace m9::rseq {

// glibc's signature in front of every abort handler: ud1 %edi, 0x53053053(%rip).
#define M9_RSEQ_SIGNATURE ".byte 0x0f,0xb9,0x3d\n .long 0x53053053\n"

// A descriptor for the section 3: to 5: with the abort handler 7:, announced by the code at 2:.
#define M9_RSEQ_DESCRIPTOR                                                                                             \
  ".pushsection __rseq_cs,\"aw\"\n .balign 32\n1: .long 0,0\n .quad 3f,(5f-3f),7f\n .popsection\n"
#define M9_RSEQ_ANNOUNCE " leaq 1b(%%rip),%[c]\n movq %[rs],%[t]\n movq %[c],%%fs:8(%[t])\n"

#define M9_RSEQ_ABORT ".pushsection .text.rseq_aborts,\"ax\"\n" M9_RSEQ_SIGNATURE
#define M9_RSEQ_INPUTS [rs] "m"(percpu.rseq_offset), [below] "m"(percpu.base_below), [shift] "i"(percpu_shift)

// c = block of this CPU: a difference that borrows, so carry is set then. t = the cache in it. i = count, c = owner,
// and off to 6 where the cache has another.
#define M9_RSEQ_BLOCK " movslq %%fs:4(%[t]),%[c]\n shlq %[shift],%[c]\n subq %[below],%[c]\n"
#define M9_RSEQ_CACHE M9_RSEQ_BLOCK " movl %[cache],%k[t]\n addq %[c],%[t]\n"
#define M9_RSEQ_IS_OWNER " movq %[owner],%[c]\n cmpq %[c],-8(%[t])\n jne 6f\n"
#define M9_RSEQ_OWNED " movl (%[t]),%k[i]\n" M9_RSEQ_DELAY M9_RSEQ_IS_OWNER

// Tests build these verbs with pauses between the instructions, so that preemption falls everywhere.
#ifdef M9_RSEQ_TEST_DELAYS
#define M9_RSEQ_DELAY " .rept 32\n pause\n .endr\n"
#else
#define M9_RSEQ_DELAY
#endif

// What an abort handler does once it knows that only the count is missing: no CPU can be charged any more, so the
// shared block is, atomically, as percpu_add does it.
#if M9_COUNTING
#define M9_RSEQ_COUNT(cell, c, cells)                                                                                  \
  " movq %[below]," c "\n negq " c "\n" cells " movb $1,%[used]\n lock incq %c[shared]" cell "\n"
#else
#define M9_RSEQ_COUNT(cell, c, cells) ""
#endif
#define M9_RSEQ_COUNT_INPUTS [shared] "i"(percpu_shared), [used] "m"(percpu.shared_used)

// pop_and_count(cache, cell, index): the last index of this CPU's cache, counting one allocation in the cell.
//   section: c = block, carry = 1;  t = address of c[cache]
//            x = t.count;  x -= 1, which leaves carry alone;  if (x < 0, signed) leave, with carry
//            x = t.items[x]
//            t.word -= 1, carry = 0           <- first commit; a word with count >= 1 does not borrow
//            c[cell] += 1                     <- second commit, which leaves carry alone
//   abort:   if (carry or t is no address yet) again; else shared[cell] += 1, carry = 0
// False, which carry tells: a miss, where nothing happened.
[[gnu::always_inline]] inline bool pop_and_count(uint64_t cache, uint64_t cell, uint64_t &index) {
  uint64_t c, t, x;
  bool miss;
  asm volatile(M9_RSEQ_DESCRIPTOR "2:\n" M9_RSEQ_ANNOUNCE "3:\n" M9_RSEQ_DELAY M9_RSEQ_BLOCK M9_RSEQ_DELAY      //
                                  " leaq (%[cache],%[c]),%[t]\n" M9_RSEQ_DELAY                                  //
                                  " movl (%[t]),%k[x]\n" M9_RSEQ_DELAY " decl %k[x]\n" M9_RSEQ_DELAY " jl 5f\n" //
               M9_RSEQ_DELAY " leaq (%[t],%[x],4),%[x]\n movl 8(%[x]),%k[x]\n" M9_RSEQ_DELAY                    //
                                  " subq $1,(%[t])\n" M9_RSEQ_DELAY                                             //
#if M9_COUNTING
                                  " incq (%[c],%[cell])\n"
#endif
                                  "5:\n" M9_RSEQ_ABORT "7: jc 2b\n cmpq $0x7fffffff,%[t]\n jle 2b\n" //
               M9_RSEQ_COUNT("(%[c],%[cell])", "%[c]", "") " clc\n jmp 5b\n.popsection\n"
               : [c] "=&r"(c), [t] "=&r"(t), [x] "=&r"(x), "=@ccc"(miss)
               : M9_RSEQ_INPUTS, M9_RSEQ_COUNT_INPUTS, [cache] "r"(cache), [cell] "r"(cell)
               : "memory");
  index = x;
  return !miss;
}

// push_and_count(cache, owner, index, cells, stamp): puts an owner's index into this CPU's cache, counting one free at
// cells + 8 * stamp.
//   section: x = c[cache].count;  if (c[cache].owner != owner) leave with false
//            if (x >= capacity, unsigned) leave with false;  carry = 1, since x < capacity
//            t = address of c[cache];  n = address of c[cells], which leave carry alone
//            t.items[x] = index   (not yet part of the cache)
//            t.word += 1, carry = 0               <- first commit
//            n[stamp] += 1                        <- second commit
//   abort:   if (carry or t is no address yet) again; else shared[cells + 8 * stamp] += 1
// False: nothing happened. Its registers have names, as an asm that jumps away has no outputs: c, later n, is rcx, t is
// r9.
[[gnu::always_inline]] inline bool push_and_count(const uint32_t &cache, uint64_t owner, uint64_t index,
                                                  [[maybe_unused]] uint64_t cells, [[maybe_unused]] uint64_t stamp) {
  asm goto(M9_RSEQ_DESCRIPTOR "2: leaq 1b(%%rip),%%rcx\n movq %[rs],%%r9\n movq %%rcx,%%fs:8(%%r9)\n3:\n" //
           M9_RSEQ_DELAY " movslq %%fs:4(%%r9),%%rcx\n shlq %[shift],%%rcx\n subq %[below],%%rcx\n"       //
                              " movl %[cache],%%r9d\n" M9_RSEQ_DELAY                                      //
                              " movl (%%rcx,%%r9),%%r10d\n" M9_RSEQ_DELAY                                 //
                              " cmpq %[owner],-8(%%rcx,%%r9)\n jne %l[full]\n" M9_RSEQ_DELAY              //
                              " cmpl 4(%%rcx,%%r9),%%r10d\n" M9_RSEQ_DELAY " jae %l[full]\n"              //
           M9_RSEQ_DELAY " leaq (%%rcx,%%r9),%%r9\n" M9_RSEQ_DELAY                                        //
#if M9_COUNTING
                              " leaq (%%rcx,%[cells]),%%rcx\n" M9_RSEQ_DELAY //
#endif
                              " leaq (%%r9,%%r10,4),%%r10\n movl %k[index],8(%%r10)\n" M9_RSEQ_DELAY //
                              " addq $1,(%%r9)\n" M9_RSEQ_DELAY                                      //
#if M9_COUNTING
                              " incq (%%rcx,%[stamp],8)\n"
#endif
                              "5:\n" M9_RSEQ_ABORT "7: jc 2b\n cmpq $0x7fffffff,%%r9\n jle 2b\n" //
           M9_RSEQ_COUNT("(%%rcx,%[stamp],8)", "%%rcx", " addq %[cells],%%rcx\n") " jmp 5b\n.popsection\n"
           :
           : M9_RSEQ_INPUTS, M9_RSEQ_COUNT_INPUTS, [cache] "m"(cache), [owner] "r"(owner), [index] "r"(index),
             [cells] "r"(cells), [stamp] "r"(stamp)
           : "rcx", "r9", "r10", "memory", "cc"
           : full);
  return true;
full:
  return false;
}

// add(offset, delta): adds to a counter of this CPU.
//   section: if (!c.opened) leave with false;  c[offset] += delta   <- commits
[[gnu::always_inline]] inline bool add(uint64_t offset, uint64_t delta) {
  uint64_t c, t;
  uint32_t done;
  asm volatile(M9_RSEQ_DESCRIPTOR "2:\n" M9_RSEQ_ANNOUNCE "3:\n" M9_RSEQ_BLOCK  //
                                  " cmpq $0,(%[c])\n je 6f\n movl $1,%[done]\n" //
               M9_RSEQ_DELAY " addq %[delta],(%[c],%[offset])\n"                //
                                  "5:\n" M9_RSEQ_ABORT "7: jmp 2b\n"
                                  "6: xorl %[done],%[done]\n jmp 5b\n"
                                  ".popsection\n"
               : [c] "=&r"(c), [t] "=&r"(t), [done] "=&r"(done)
               : M9_RSEQ_INPUTS, [offset] "r"(offset), [delta] "r"(delta)
               : "memory", "cc");
  return done != 0;
}

// grow(cache, owner, first, most): lets this CPU's cache hold more: `first` items, then twice as many each time.
//   section: if (!c.opened or stopped) leave with 0;  if (capacity == 0) c[cache].owner = owner  (nobody looks at it
//            before the commit, as there is room for nothing);  else if (c[cache].owner != owner) leave with 0
//            if (capacity >= most) leave;  c[cache].capacity = min(max(2 * capacity, first), most)   <- commits
// Returns the capacity.
[[gnu::always_inline]] inline uint32_t grow(const uint32_t &cache, uint64_t owner, uint32_t first, uint32_t most) {
  uint64_t c, t;
  uint32_t n;
  asm volatile(M9_RSEQ_DESCRIPTOR
               "2:\n" M9_RSEQ_ANNOUNCE "3:\n" M9_RSEQ_CACHE                                           //
               " xorl %[n],%[n]\n cmpq $0,(%[c])\n je 6f\n"                                           //
               " cmpl $0,(%[t])\n jl 6f\n cmpl $0,4(%[t])\n jne 4f\n"                                 //
               " movq %[owner],%[c]\n movq %[c],-8(%[t])\n4:\n" M9_RSEQ_IS_OWNER                      //
               " movl 4(%[t]),%[n]\n cmpl %[most],%[n]\n jae 6f\n addl %[n],%[n]\n"                   //
               " cmpl %[first],%[n]\n cmovb %[first],%[n]\n cmpl %[most],%[n]\n cmova %[most],%[n]\n" //
               M9_RSEQ_DELAY " movl %[n],4(%[t])\n"                                                   //
               "5:\n" M9_RSEQ_ABORT "7: jmp 2b\n"
               "6: jmp 5b\n"
               ".popsection\n"
               : [c] "=&r"(c), [t] "=&r"(t), [n] "=&r"(n)
               : M9_RSEQ_INPUTS, [cache] "m"(cache), [owner] "m"(owner), [first] "r"(first), [most] "r"(most)
               : "memory", "cc");
  return n;
}

// pop_many(cache, owner, to, most): moves up to `most` >= 1 indices, the newest, out of this CPU's cache.
//   section: i = count;  if (c[cache].owner != owner) leave with 0;  if (int32(i) < 1) leave with 0;  n = min(i, most)
//            to[0..n) = items[i - n..i)
//            word -= n   <- commits
[[gnu::always_inline]] inline uint32_t pop_many(const uint32_t &cache, uint64_t owner, uint32_t *to, uint32_t most) {
  uint64_t c, t, n, i, x;
  asm volatile(M9_RSEQ_DESCRIPTOR
               "2:\n" M9_RSEQ_ANNOUNCE "3:\n" M9_RSEQ_CACHE M9_RSEQ_OWNED                               //
               " movl %k[i],%k[c]\n testl %k[c],%k[c]\n jle 6f\n"                                       //
               " movl %k[most],%k[n]\n cmpl %k[c],%k[n]\n cmova %k[c],%k[n]\n"                          //
               " subl %k[n],%k[c]\n leaq 8(%[t],%[c],4),%[c]\n movl %k[n],%k[i]\n"                      //
               "4: movl -4(%[c],%[i],4),%k[x]\n movl %k[x],-4(%[to],%[i],4)\n subl $1,%k[i]\n jnz 4b\n" //
               M9_RSEQ_DELAY " subq %[n],(%[t])\n"                                                      //
               "5:\n"                                                                                   //
               M9_RSEQ_ABORT "7: jmp 2b\n6: xorl %k[n],%k[n]\n jmp 5b\n.popsection\n"
               : [c] "=&r"(c), [t] "=&r"(t), [n] "=&r"(n), [i] "=&r"(i), [x] "=&r"(x)
               : M9_RSEQ_INPUTS, [cache] "m"(cache), [owner] "m"(owner), [to] "r"(to), [most] "r"(uint64_t{most})
               : "memory", "cc");
  return uint32_t(n);
}

// push_many(cache, owner, from, n): moves up to n >= 1 indices into this CPU's cache; the last becomes the newest.
//   section: i = count;  if (c[cache].owner != owner) leave with 0;  if (i >= capacity, unsigned) leave with 0
//            m = min(n, capacity - i);  items[i..i + m) = from[n - m..n)   (not yet part of the cache)
//            word += m   <- commits
// Returns m.
[[gnu::always_inline]] inline uint32_t push_many(const uint32_t &cache, uint64_t owner, const uint32_t *from,
                                                 uint32_t n) {
  uint64_t c, t, m, i, x, s;
  asm volatile(M9_RSEQ_DESCRIPTOR
               "2:\n" M9_RSEQ_ANNOUNCE "3:\n" M9_RSEQ_CACHE M9_RSEQ_OWNED                              //
               " movl %k[i],%k[c]\n movl 4(%[t]),%k[m]\n cmpl %k[m],%k[c]\n jae 6f\n"                  //
               " subl %k[c],%k[m]\n cmpl %k[n],%k[m]\n cmova %k[n],%k[m]\n"                            //
               " leaq 8(%[t],%[c],4),%[c]\n movl %k[n],%k[s]\n subl %k[m],%k[s]\n"                     //
               " leaq (%[from],%[s],4),%[s]\n movl %k[m],%k[i]\n"                                      //
               "4: movl -4(%[s],%[i],4),%k[x]\n movl %k[x],-4(%[c],%[i],4)\n subl $1,%k[i]\n jnz 4b\n" //
               M9_RSEQ_DELAY " addq %[m],(%[t])\n"                                                     //
               "5:\n"                                                                                  //
               M9_RSEQ_ABORT "7: jmp 2b\n6: xorl %k[m],%k[m]\n jmp 5b\n.popsection\n"
               : [c] "=&r"(c), [t] "=&r"(t), [m] "=&r"(m), [i] "=&r"(i), [x] "=&r"(x), [s] "=&r"(s)
               : M9_RSEQ_INPUTS, [cache] "m"(cache), [owner] "m"(owner), [from] "r"(from), [n] "r"(uint64_t{n})
               : "memory", "cc");
  return uint32_t(m);
}

} // namespace m9::rseq
