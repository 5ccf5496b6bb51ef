; Real mode: limits that survive from protected mode, 16-bit protected mode, far transfers of both sizes, LIDT, segment paragraphs.
; KVM without hardware behind it does not keep the limits.
; kvm: hardware
%include "real16.inc"
%macro on_int 2
  mov word [(%1) * 4], %2
  mov word [(%1) * 4 + 2], 0
%endmacro

main:
  ; a limit of 64 KiB at first
  mov dword [0x200000 & 0xFFFF], 0
  mov ebx, 0x200000
  expect_fault GP, 0, mov eax, [ebx]
  ; to protected mode and back with DS at 4 GiB: the limit stays
  lgdt [pointer]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  mov cx, 8
  mov ds, cx
  jmp 0x10:.pm16
.pm16:
  ; 16-bit protected mode
  sldt cx
  mov eax, cr0
  and al, ~1
  mov cr0, eax
  jmp 0:.rm
.rm:
  xor cx, cx
  mov ds, cx ; a real-mode load changes the base alone
  mov dword [ebx], 0x12345678
  mov cx, 0x1000
  mov ds, cx
  a32 mov eax, [0x200000 - 0x10000]
  xor cx, cx
  mov ds, cx
  check_eq eax, 0x12345678
  expect_fault UD, 0, sldt cx
  expect_fault UD, 0, verr cx
  ; far calls of both sizes; a 32-bit return address
  mov bp, sp
  call 0:.far16
  check_eq sp, bp
  call dword 0:.far32
  check_eq sp, bp
  mov dword [far_], .far32
  mov word [far_ + 4], 0
  call far dword [far_]
  check_eq sp, bp
  jmp .past
.far16:
  lea ax, [bp - 4]
  check_eq sp, ax
  retf
.far32:
  lea ax, [bp - 8]
  check_eq sp, ax
  o32 retf
.past:
  ; EIP beyond the limit of CS
  mov dword [far_], 0x10000
  expect_fault GP, 0, jmp far dword [far_]
  ; CS is a paragraph
  call 0x10:.paragraph - 0x100
  jmp .flags
.paragraph:
  mov ax, cs
  check_eq ax, 0x10
  retf
.flags:
  ; IRET of both sizes; INT clears IF, TF and AC
  push dword 0x40202
  push dword 0
  push dword .iret32
  iretd
.iret32:
  pushfd
  pop eax
  check_eq eax, 0x40202
  on_int 0x21, .handler
  int 0x21
  test dword [seen], 0x40300
  check z
  pushfd
  pop eax
  and eax, 0x40200
  check_eq eax, 0x200 ; a 16-bit IRET does not bring AC back
  cli
  jmp .table
.handler:
  pushfd
  pop dword [seen]
  iret
.table:
  ; the table's place and limit count in real mode too
  mov si, 0
  mov di, 0x600
  mov cx, 0x80
  rep movsw
  mov word [0x600 + 4 * 0x18], .moved
  lidt [moved]
  mov ax, 1
  int 0x18
  check_eq ax, 2
  mov word [moved], 4 * 0x20 - 2 ; cuts off 0x1F
  lidt [moved]
  expect_fault GP, 0, int 0x1F
  ; SIDT, SGDT
  sidt [seen]
  check_eq word [seen], 4 * 0x20 - 2
  check_eq dword [seen + 2], 0x600
  ; BOUND, INTO
  mov dword [seen], 0x00050001
  mov ax, 3
  bound ax, [seen]
  mov ax, 6
  expect_fault BR, 0, bound ax, [seen]
  mov al, 0x7F
  add al, 1
  expect_trap OF_, 0, into
  pass
.moved:
  inc ax
  iret
far_: dd 0, 0
seen: dd 0, 0
moved:
  dw 0x3FF
  dd 0x600
  align 8
table:
  dq 0
  dq 0x00CF93000000FFFF
  dq 0x00009B000000FFFF
pointer:
  dw 23
  dd table
