# SPDX-License-Identifier: BSD-2-Clause
#
# Functions that .eh_frame does not know, and some of which it says what is not so.
        .text
        .macro begin name
        .globl \name
        .type \name, @function
        .p2align 4
\name:
        .endm
        .macro end name
        .size \name, . - \name
        .endm

        begin nocfi_malloc
        subq $24, %rsp
        call malloc@PLT
        addq $24, %rsp
        ret
        end nocfi_malloc

        begin nocfi_user
        subq $40, %rsp
        call xmalloc@PLT
        addq $40, %rsp
        ret
        end nocfi_user

        begin nocfi_register_user
        pushq %rbp
        movq %rsi, %rbp
        call alloca_malloc@PLT
        popq %rbp
        ret
        end nocfi_register_user

# Says that the CFA is where the local words are, which hold zeros.
        begin liar_near_malloc
        .cfi_startproc
        subq $40, %rsp
        movq $0, (%rsp)
        movq $0, 8(%rsp)
        .cfi_def_cfa %rsp, 16
        call malloc@PLT
        .cfi_def_cfa %rsp, 48
        addq $40, %rsp
        ret
        .cfi_endproc
        end liar_near_malloc

        begin liar_far_malloc
        .cfi_startproc
        subq $8, %rsp
        .cfi_def_cfa %rsp, 4112
        call malloc@PLT
        addq $8, %rsp
        ret
        .cfi_endproc
        end liar_far_malloc

        begin liar_rbp_malloc
        .cfi_startproc
        pushq %rbp
        movq %rsi, %rbp
        .cfi_def_cfa %rbp, 16
        .cfi_offset %rbp, -16
        call malloc@PLT
        popq %rbp
        ret
        .cfi_endproc
        end liar_rbp_malloc

# The caller is where the table says; rbp is not.
        begin liar_saved_malloc
        .cfi_startproc
        subq $24, %rsp
        .cfi_def_cfa %rsp, 32
        .cfi_offset %rbp, -32768
        call malloc@PLT
        addq $24, %rsp
        ret
        .cfi_endproc
        end liar_saved_malloc

# on_stack(top, function, argument)
        begin on_stack
        .cfi_startproc
        pushq %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq %rsp, %rbp
        .cfi_def_cfa_register %rbp
        movq %rdi, %rsp
        movq %rdx, %rdi
        call *%rsi
        movq %rbp, %rsp
        popq %rbp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        end on_stack

        .section .note.GNU-stack, "", @progbits
