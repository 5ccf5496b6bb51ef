; Real mode: decimal adjustments, 16-bit wrap-around, PUSH SP, division fault.
%include "real16.inc"
main:
  mov al, 0x79
  add al, 0x35
  daa
  check c
  check_eq al, 0x14
  mov al, 0x35
  sub al, 0x47
  das
  check c
  check_eq al, 0x88
  mov ax, 0x0105
  add al, 9
  aaa
  check_eq ax, 0x0204
  mov ax, 0x0103
  aad
  check_eq ax, 13
  mov ax, 63
  aam
  check_eq ax, 0x0603
  mov bp, sp
  push sp
  pop ax
  check_eq ax, bp ; 286 and later push the old value
  mov bx, 0xFFFF
  mov si, 0x601
  mov byte [0x600], 0x5C
  mov byte [bx + si], 0x5D ; the offset wraps at 64 KiB
  check_eq byte [0x600], 0x5D
  mov ax, 0x100
  xor dx, dx
  mov bl, 1
  expect_fault DE, 0, div bl
  expect_trap BP, 0, int3
  expect_fault UD, 0, ud2
  mov bx, 0xFFFF
  expect_fault GP, 0, mov ax, [bx] ; across the limit
  mov byte [0xFFFF], 1
  mov ax, 0xB800
  mov es, ax
  mov word [es:0], 0x1234
  check_eq word [es:0], 0x1234
  enter 8, 2
  leave
  check_eq sp, 0x7C00
  pass
