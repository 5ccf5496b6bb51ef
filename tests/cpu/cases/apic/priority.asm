; Priorities: the higher vector first, TPR and CR8 hold back, ISR and IRR tell, EOI lets the next one through.
; kvm: hardware
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  on_vector 0x61, record
  on_vector 0x72, record
  on_vector 0x83, record
  ; three self-IPIs while interrupts are off: they come highest first
  apic_write 0x300, 0x40061
  apic_write 0x300, 0x40083
  apic_write 0x300, 0x40072
  apic_read 0x230 ; IRR 0x60..0x7F
  check_eq eax, (1 << 1) | (1 << 0x12)
  sti
  nop
  wait_for dword [count], 1
  cli
  ; no EOI was written: 0x83 is in service and holds the others back
  check_eq byte [order], 0x83
  apic_read 0x140
  check_eq eax, 1 << 3
  apic_read 0xA0 ; PPR
  check_eq eax, 0x80
  apic_write 0xB0, 0
  ; CR8 = 7 holds back classes up to 7
  mov eax, 7
  mov cr8, rax
  apic_read 0x80
  check_eq eax, 0x70
  sti
  nop
  nop
  cli
  check_eq dword [count], 1
  mov eax, 6
  mov cr8, rax
  sti
  nop
  nop
  cli
  check_eq dword [count], 2
  check_eq byte [order + 1], 0x72
  apic_write 0xB0, 0
  xor eax, eax
  mov cr8, rax
  sti
  nop
  nop
  cli
  check_eq dword [count], 3
  check_eq byte [order + 2], 0x61
  apic_write 0xB0, 0
  apic_read 0x130
  check_eq eax, 0
  ; nothing is left
  sti
  nop
  nop
  cli
  check_eq dword [count], 3
  mov eax, 0x10
  expect_fault GP, 0, mov cr8, rax
  pass
record: ; no EOI
  push rax
  push rbx
  mov eax, [rsp + 16]
  mov ebx, [count]
  mov [order + rbx], al
  inc dword [count]
  pop rbx
  pop rax
  add rsp, 16
  iretq
count: dd 0
order: times 8 db 0
