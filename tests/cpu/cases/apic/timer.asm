; The local APIC's timer: one-shot, periodic, masked, count-down and its stop.
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  mov byte [eoi_on], 1
  ; one-shot, by 16
  apic_write 0x3E0, 3
  apic_write 0x320, 0x50
  apic_write 0x380, 10000
  sti
.one:
  hlt
  cmp dword [vector_count + 4 * 0x50], 1
  jb .one
  apic_read 0x390
  check_eq eax, 0
  ; periodic
  apic_write 0x320, 0x20051
  apic_write 0x380, 20000
.periodic:
  hlt
  cmp dword [vector_count + 4 * 0x51], 5
  jb .periodic
  ; a count of 0 stops it
  apic_write 0x380, 0
  cli
  mov ebx, [vector_count + 4 * 0x51]
  sti
  mov ecx, 200000
.quiet:
  pause
  loop .quiet
  mov eax, [vector_count + 4 * 0x51]
  sub eax, ebx
  cmp eax, 1 ; one may have been on its way
  check be
  check_eq dword [vector_count + 4 * 0x50], 1
  ; masked: it counts, and nothing comes; the count goes down and never up
  apic_write 0x3E0, 0xB
  apic_write 0x320, 0x10052
  apic_write 0x380, 0xFFFFFFFF
  apic_read 0x390
  mov ebx, eax
  mov ecx, 1000
.down:
  pause
  loop .down
  apic_read 0x390
  cmp eax, ebx
  check b
  check_eq dword [vector_count + 4 * 0x52], 0
  pass
