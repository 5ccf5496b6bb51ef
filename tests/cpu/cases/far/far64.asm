; Far transfers in long mode: 64-bit call gates, compatibility mode and back, IRETQ's rules, canonical checks.
; KVM without hardware behind it emulates no call gates.
; kvm: hardware
%include "long64.inc"
%define SLOT(n) (SPARE + (n) * 8)
%macro gate 4 ; slot, selector, offset, access byte
  mov rax, %3
  mov word [gdt_spare + (%1) * 8], ax
  mov word [gdt_spare + (%1) * 8 + 2], %2
  mov byte [gdt_spare + (%1) * 8 + 4], 0
  mov byte [gdt_spare + (%1) * 8 + 5], %4
  shr rax, 16
  mov word [gdt_spare + (%1) * 8 + 6], ax
  shr rax, 16
  mov [gdt_spare + (%1) * 8 + 8], rax
%endmacro
%macro far_pointer 2
  mov qword [pointer], %1
  mov word [pointer + 8], %2
%endmacro

main:
  mov rbp, rsp
  ; the three operand sizes of a far call
  far_pointer .ret64, KCODE64
  o64 call far [pointer]
  check_eq rsp, rbp
  mov dword [pointer], .ret32
  mov word [pointer + 4], KCODE64
  call dword far [pointer]
  check_eq rsp, rbp
  jmp .gates
.ret64:
  lea rax, [rbp - 16]
  check_eq rsp, rax
  o64 retf
.ret32:
  lea rax, [rbp - 8]
  check_eq rsp, rax
  retf
.gates:
  ; a 64-bit gate at the same level
  gate 0, KCODE64, .ret64, 0x8C
  far_pointer 0, SLOT(0)
  o64 call far [pointer]
  check_eq rsp, rbp
  ; refusals
  far_pointer .ret64, 0
  expect_fault GP, 0, o64 call far [pointer]
  far_pointer .ret64, KDATA
  expect_fault GP, KDATA, o64 call far [pointer]
  far_pointer .ret64, UCODE64
  expect_fault GP, UCODE64, o64 jmp far [pointer]
  far_pointer .ret64, TSS(1)
  expect_fault GP, TSS(1), o64 jmp far [pointer]
  mov rax, 0x800000000000
  mov [pointer], rax
  mov word [pointer + 8], KCODE64
  expect_fault GP, 0, o64 jmp far [pointer]
  far_pointer 0, SLOT(0)
  gate 0, KCODE32, .ret64, 0x8C
  expect_fault GP, KCODE32, o64 call far [pointer]
  gate 0, KCODE64, .ret64, 0x8C
  mov byte [gdt_spare + 13], 1 ; the upper half has a type
  expect_fault GP, SLOT(0), o64 call far [pointer]
  gate 0, KCODE64, .ret64, 0x84 ; no 16-bit gates here
  expect_fault GP, SLOT(0), o64 call far [pointer]
  gate 0, KCODE64, .ret64, 0x85
  expect_fault GP, SLOT(0), o64 call far [pointer]
  mov dword [gdt_spare + 16], 0x0000FFFF
  mov dword [gdt_spare + 20], 0x00EF9B00 ; L and D
  far_pointer .ret64, SLOT(2)
  expect_fault GP, SLOT(2), o64 jmp far [pointer]

  ; from ring 3 through the gate: RSP0, a null SS, nothing copied
  gate 0, KCODE64, .inner, 0xEC
  far_pointer 0, SLOT(0) | 3
  allow_user
  arm_fault .outside
  enter_user .user
.user:
  mov rbx, rsp
  o64 call far [pointer]
  int 0x80
.inner:
  mov ax, ss
  check_eq ax, 0
  check_eq rsp, STACK_TOP(0) - 0x4000 - 32
  check_eq qword [rsp + 8], UCODE64 | 3
  check_eq qword [rsp + 16], rbx
  check_eq qword [rsp + 24], UDATA | 3
  o64 retf
.outside:
  check_eq dword [fault_vector], 0x80
  check_eq qword [fault_cs], UCODE64 | 3
  check_eq qword [fault_rsp], rbx

  ; compatibility mode: 32-bit code segment, upper halves unreachable, back by a far jump
  mov ax, KDATA ; lost on the way to ring 3
  mov ds, ax
  mov dword [pointer], .compat
  mov word [pointer + 4], KCODE32
  jmp dword far [pointer]
  bits 32
.compat:
  mov eax, cs
  cmp eax, KCODE32
  jne .bad
  mov eax, 0xFFFFFFFF
  inc eax ; DEC's encoding would be a REX prefix in 64-bit mode
  jnz .bad
  ; an event from compatibility mode pushes a 64-bit frame and SS, aligned
  mov ecx, KDATA
  mov ss, ecx
  mov dword [fault_resume], .compat_back
  mov [fault_resume_rsp], esp
  sub esp, 4
  ud2
.bad:
  jmp KCODE64:.bad64
  bits 64
.bad64:
  fail "compatibility mode"
.compat_back:
  check_eq dword [fault_vector], UD
  check_eq qword [fault_cs], KCODE32
  lea rax, [rsp - 4]
  check_eq qword [fault_rsp], rax
  and rax, -16
  sub rax, 56
  check_eq qword [fault_stack], rax

  ; IRETQ: always pops SS:RSP; a null SS only to 64-bit ring 0..2
  mov rbp, rsp
  push 0
  push rbp
  push 2
  push KCODE64
  push .null_ss
  iretq
.null_ss:
  check_eq rsp, rbp
  mov ax, ss
  check_eq ax, 0
  push 3
  push rbp
  push 2
  push KCODE64
  push .never
  expect_fault GP, 0, iretq ; RPL is not CPL
  mov rsp, rbp
  push 0
  push rbp
  push 2
  push UCODE64 | 3
  push .never
  expect_fault GP, 0, iretq
  mov rsp, rbp
  push KDATA
  push rbp
  push 2
  push KCODE64
  mov rax, 0x8000000000000000
  push rax
  expect_fault GP, 0, iretq ; not canonical
  mov rsp, rbp
  push KDATA
  push rbp
  push 0x4002 ; NT may be set, but then the next IRET faults
  push KCODE64
  push .nested
  iretq
.nested:
  expect_fault GP, 0, iretq
  push 2
  popfq
  ; a data segment of ring 0 does not survive a return to ring 3; null ones keep the base of FS
  mov ax, KDATA
  mov ds, ax
  mov es, ax
  set_msr 0xC0000100, 0x12, 0x34560000
  mov ax, 3
  mov gs, ax
  arm_fault .dropped
  enter_user .segments
.segments:
  mov bx, ds
  mov cx, es
  mov dx, gs
  int 0x80
.dropped:
  check_eq bx, 0
  check_eq cx, 0
  check_eq dx, 0
  mov ecx, 0xC0000100
  rdmsr
  check_eq eax, 0x34560000
  check_eq edx, 0x12
  ; MOV to SS in 64-bit mode: null is allowed at ring 0
  xor eax, eax
  mov ss, ax
  mov ax, KDATA
  mov ss, ax
  mov ax, 3
  expect_fault GP, 0, mov ss, ax
  pass
.never:
  fail "must not get here"
  align 8
pointer: times 2 dq 0
