; Interrupt stacks: IST entries, RSP0 on a change of privilege, alignment of the frame, and the frame's contents.
; kvm: hardware
%include "long64.inc"
main:
  ; #UD on IST1
  mov byte [idt64 + 16 * UD + 4], 1
  expect_fault UD, 0, ud2
  check_eq qword [fault_stack], STACK_TOP(0) - 0x8000 - 56 ; vector error rip cs rflags rsp ss
  check_eq qword [fault_rsp], rsp
  ; without IST: the current stack, aligned to 16 first
  mov byte [idt64 + 16 * UD + 4], 0
  lea rbp, [rsp - 5]
  arm_fault .aligned
  mov rsp, rbp
  ud2
.aligned:
  check_eq qword [fault_rsp], rbp
  mov rax, rbp
  and rax, -16
  sub rax, 56
  check_eq qword [fault_stack], rax
  ; from ring 3: RSP0
  allow_user
  arm_fault .user
  enter_user .ud, STACK_TOP(0) - 0xE008
.ud:
  ud2
.user:
  check_eq qword [fault_stack], STACK_TOP(0) - 0x4000 - 56
  check_eq qword [fault_rsp], STACK_TOP(0) - 0xE008
  check_eq qword [fault_cs], UCODE64 | 3
  ; a gate that is not present: #NP with the IDT bit
  and byte [idt64 + 16 * 0x50 + 5], 0x7F
  expect_fault NP, 0x50 * 8 + 2, int 0x50
  ; a gate whose DPL is below CPL: #GP
  arm_fault .user2
  enter_user .int
.int:
  int 0x40
.user2:
  check_eq dword [fault_vector], GP
  check_eq dword [fault_error], 0x40 * 8 + 2
  pass
