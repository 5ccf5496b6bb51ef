; ARPL raises the RPL, says so in ZF, and writes only then.
%include "pm32.inc"
main:
  mov eax, 0xABCDFFF0
  mov ebx, 2
  arpl ax, bx
  check z
  check_eq eax, 0xABCDFFF2
  mov ebx, 1
  arpl ax, bx
  check nz
  check_eq eax, 0xABCDFFF2
  mov word [0x300000], 0x1230
  mov ebx, 3
  arpl [0x300000], bx
  check z
  check_eq word [0x300000], 0x1233
  ; nothing to raise: a segment that may only be read will do
  mov dword [gdt_spare], 0x0000FFFF
  mov dword [gdt_spare + 4], 0x00CF9000
  mov eax, SPARE
  mov es, eax
  arpl [es:0x300000], bx
  check nz
  mov word [0x300000], 0x1230
  expect_fault GP, 0, arpl [es:0x300000], bx
  pass
