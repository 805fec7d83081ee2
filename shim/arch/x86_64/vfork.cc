// SPDX-License-Identifier: BSD-2-Clause
//
// vfork(2) as the library exports it: the fast paths are off while the child, whose rseq the kernel has unregistered,
// runs on our memory. Child and parent return on the same stack, so the return address waits in a register that the
// kernel preserves, as in every vfork; the child comes back first and may overwrite what lies above the stack pointer.
//
//   m9_vfork_enter(); pid = vfork; if (pid == 0) return 0; return m9_vfork_leave(pid)
asm(R"(
  .text
  .p2align 4
  .globl vfork
  .type vfork, @function
vfork:
  .cfi_startproc
  endbr64
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  call m9_vfork_enter
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %rdx
  .cfi_adjust_cfa_offset -8
  .cfi_register %rip, %rdx
  movl $58, %eax
  syscall
  pushq %rdx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rip, 0
  testq %rax, %rax
  jz 1f
  movq %rax, %rdi
  jmp m9_vfork_leave
1:
  ret
  .cfi_endproc
  .size vfork, .-vfork
)");
