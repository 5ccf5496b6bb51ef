; Real mode keeps the limits that protected mode loaded ("unreal mode"), and a jump back into protected mode works again.
%include "real16.inc"
main:
  mov bx, 0x500
  o32 lgdt [.gdt_pointer]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  mov cx, 8
  mov es, cx
  and al, ~1
  mov cr0, eax
  jmp 0:.real
.real:
  mov edi, 0x200000
  mov dword [es:edi], 0xDEADBEEF
  check_eq dword [es:edi], 0xDEADBEEF
  mov ax, es
  check_eq ax, 8
  ; a selector loaded in real mode changes base, not limit
  xor cx, cx
  mov es, cx
  check_eq dword [es:edi], 0xDEADBEEF
  ; DS never was in protected mode: 64 KiB
  expect_fault GP, 0, mov eax, [edi]
  ; A20 is on: 1 MiB is not 0
  mov ax, 0xFFFF
  mov fs, ax
  mov dword [fs:0x10], 0x11111111
  mov dword [0], 0x22222222
  check_eq dword [fs:0x10], 0x11111111
  pass
.gdt: dq 0, 0x00CF93000000FFFF
.gdt_pointer:
  dw 15
  dd .gdt
