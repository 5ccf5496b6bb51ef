; Which second fault makes a double fault, its error code, and that #DF can run on its own stack.
; KVM without hardware behind it delivers the second fault alone.
; kvm: hardware
%include "long64.inc"
%macro broken_gate 1 ; not present
  and byte [idt64 + 16 * (%1) + 5], 0x7F
%endmacro
%macro good_gate 1
  or byte [idt64 + 16 * (%1) + 5], 0x80
%endmacro
main:
  mov byte [idt64 + 16 * DF + 4], 1 ; IST1
  ; benign then contributory: served one after the other
  broken_gate UD
  expect_fault NP, UD * 8 + 3, ud2
  good_gate UD
  ; contributory then contributory
  broken_gate GP
  mov eax, 0x1000
  expect_fault DF, 0, mov ds, eax
  check_eq qword [fault_stack], STACK_TOP(0) - 0x8000 - 56
  good_gate GP
  broken_gate DE
  xor ecx, ecx
  expect_fault DF, 0, div ecx
  good_gate DE
  ; a page fault while the stack is gone: page fault then page fault
  mov dword [PLAY_PT + 8], 0
  invlpg [PLAY + 0x1000]
  mov rbp, rsp
  arm_fault .df
  mov [fault_resume_rsp], rbp
  mov rsp, PLAY + 0x1800
.push:
  push rax
.df:
  check_eq dword [fault_vector], DF
  check_eq qword [fault_rip], .push
  check_eq qword [fault_rsp], PLAY + 0x1800
  ; contributory then page fault: the page fault is served
  mov byte [idt64 + 16 * PF + 4], 2
  mov rax, PLAY + 0x2000
  mov dword [PLAY_PT + 16], 0
  invlpg [rax]
  mov rbp, rsp
  arm_fault .pf
  mov [fault_resume_rsp], rbp
  mov rsp, PLAY + 0x2800
  xor ecx, ecx
.div:
  div ecx
.pf:
  check_eq dword [fault_vector], PF
  check_eq qword [fault_cr2], PLAY + 0x2800 - 8
  check_eq dword [fault_error], 2
  check_eq qword [fault_rip], .div
  pass
