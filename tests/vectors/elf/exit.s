# exit(0) on x86-64
    .globl _start
    .text
_start:
    movl $60, %eax
    xorl %edi, %edi
    syscall
