; HLT sleeps until an interrupt: a self-IPI pending before STI, STI's shadow, and one from another CPU.
; cpus: 2
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  mov byte [eoi_on], 1
  ; pending before: delivered one instruction after STI, so HLT is reached and woken from
  apic_write 0x300, 0x40000 | 0x41 ; self
  sti
  hlt
  cli
  check_eq dword [vector_count + 4 * 0x41], 1
  ; from the other CPU
  start_ap 1, other
  mov dword [waiting], 1
  sti
  hlt
  cli
  check_eq dword [vector_count + 4 * 0x42], 1
  pass
other:
  wait_for dword [waiting], 1
  mov ecx, 100000
.delay:
  pause
  loop .delay
  apic_write 0x310, 0
  apic_write 0x300, 0x4042
.park:
  hlt
  jmp .park
waiting: dd 0
