; SYSCALL, SYSRET and SWAPGS over and over: flags both ways, then another SFMASK, another LSTAR, and what they lead to.
; kvm: hardware
%include "long64.inc"
%define ALL_MASKED 0x47FD5
%define SOME_MASKED 0x700 ; status flags come through
main:
  allow_user
  set_msr 0xC0000081, (UCODE32 << 16) | KCODE64, 0 ; STAR
  set_msr 0xC0000082, 0, kernel_entry
  set_msr 0xC0000084, 0, ALL_MASKED
  mov r12d, ALL_MASKED
  xor r15d, r15d ; round
  xor r13d, r13d ; entries by the second one
  mov r14, rsp
  enter_user user
user: ; ring 3
  pushfq
  pop qword [user_flags]
  mov ax, cs
  mov [user_cs], ax
  mov ax, ss
  mov [user_ss], ax
  push qword [next_flags]
  popfq
  syscall
after_syscall:
  ud2
second_entry:
  lea r13, [r13 + 1] ; no flags
kernel_entry:
  mov [user_rsp], rsp
  mov rsp, r14
  pushfq
  pop rax
  mov rdx, r12
  not rdx
  and rdx, r11
  or edx, 2
  check_eq rax, rdx
  check_eq rcx, after_syscall
  mov ax, cs
  check_eq ax, KCODE64
  mov ax, ss
  check_eq ax, KDATA
  test r15d, r15d
  jz .first
  mov rax, [next_flags]
  check_eq r11, rax
  mov rax, [sent_flags]
  check_eq qword [user_flags], rax
  check_eq word [user_cs], UCODE64 | 3
  check_eq word [user_ss], UDATA | 3
  mov rax, gs:[0]
  check_eq eax, 'user'
  swapgs
  mov rax, gs:[0]
  check_eq eax, 'kern'
  swapgs
  mov rax, gs:[0]
  check_eq eax, 'user'
  jmp .next
.first: ; on the way here GS was loaded
  set_msr 0xC0000101, 0, user_data ; GS base
  set_msr 0xC0000102, 0, kernel_data ; what SWAPGS brings
.next:
  inc r15d
  cmp r15d, 40
  jne .not40
  set_msr 0xC0000084, 0, SOME_MASKED
  mov r12d, SOME_MASKED
.not40:
  cmp r15d, 80
  jne .not80
  set_msr 0xC0000084, 0, ALL_MASKED
  mov r12d, ALL_MASKED
  set_msr 0xC0000082, 0, second_entry
.not80:
  cmp r15d, 120
  jne .not120
  check_eq r13d, 40
.not120:
  cmp r15d, 160
  je .done
  imul eax, r15d, 0x1B5
  and eax, 0x8D5
  or eax, 2
  mov [next_flags], rax
  imul r11d, r15d, 0x2F1
  and r11d, 0x8D5
  or r11d, 2
  mov [sent_flags], r11
  mov ecx, user
  mov rsp, [user_rsp]
  o64 sysret
.done:
  pass
  align 8
user_data: dq 'user'
kernel_data: dq 'kern'
next_flags: dq 2
sent_flags: dq 0
user_flags: dq 0
user_rsp: dq 0
user_cs: dw 0
user_ss: dw 0
