; INIT stops a running CPU and forgets its mode; SIPI starts it at the vector it names; a second SIPI does nothing.
; cpus: 2
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  start_ap 1, spin
  wait_for dword [entered], 1
  ; INIT: it stops counting
  apic_write 0x310, 1 << 24
  apic_write 0x300, 0x4500
.running:
  mov ebx, [counter]
  mov ecx, 100000
.look:
  pause
  loop .look
  cmp ebx, [counter]
  jne .running
  ; SIPI to another page: 0x2000
  mov esi, real_code
  mov edi, 0x2000
  mov ecx, real_code_end - real_code
  rep movsb
  apic_write 0x300, 0x4602
  wait_for word [0x600], 0x200 ; CS
  check_eq word [0x602], 0 ; the low half of CR0 without PE, but for ET
  check_eq word [0x604], 0 ; SS
  ; a second SIPI
  mov word [0x600], 0
  apic_write 0x300, 0x4602
  mov ecx, 200000
.quiet2:
  pause
  loop .quiet2
  check_eq word [0x600], 0
  pass
spin:
  mov dword [entered], 1
.more:
  inc dword [counter]
  jmp .more
  bits 16
real_code:
  xor ax, ax
  mov ds, ax
  mov eax, cr0
  and ax, ~0x10
  mov [0x602], ax
  mov [0x604], ss
  mov ax, cs
  mov [0x600], ax
.park:
  jmp .park
real_code_end:
  bits 64
counter: dd 0
entered: dd 0
