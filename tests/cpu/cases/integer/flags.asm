; Status flags of the common integer instructions at their edges.
%include "long64.inc"

; check_flags expected: of CF PF AF ZF SF OF
%macro check_flags 1
  pushfq
  pop rbx
  and ebx, 0x8D5
  check_eq ebx, %1
%endmacro
%define CF 0x001
%define PFL 0x004
%define AF 0x010
%define ZF 0x040
%define SF 0x080
%define OFL 0x800

main:
  mov al, 0x7F
  add al, 1
  check_flags AF | SF | OFL
  mov al, 0xFF
  add al, 1
  check_flags CF | PFL | AF | ZF
  xor eax, eax
  sub eax, 1
  check_flags CF | PFL | AF | SF
  stc
  mov ax, 0x7FFF
  adc ax, 0
  check_flags AF | SF | OFL | PFL
  stc
  mov rax, 0x8000000000000000
  sbb rax, 0
  check_flags AF | OFL | PFL
  stc
  mov eax, -1
  inc eax ; CF stays
  check_flags CF | PFL | AF | ZF
  mov eax, 0x80000000
  neg eax
  check_flags CF | PFL | SF | OFL
  mov eax, 0x40000000
  shl eax, 1
  pushfq
  pop rbx
  and ebx, 0x8C5 ; AF is undefined
  check_eq ebx, PFL | SF | OFL
  mov eax, 0x80000001
  mov cl, 32
  stc
  shl eax, cl ; a count of 0 after masking changes nothing
  check c
  check_eq eax, 0x80000001
  mov al, 0x81
  ror al, 1
  check c
  check_eq al, 0xC0
  mov eax, 0x12345678
  mov edx, 0x9ABCDEF0
  shld eax, edx, 8
  check_eq eax, 0x3456789A
  mov eax, 0x10000
  mul eax
  check c
  check_eq edx, 1
  mov eax, -2
  imul eax, eax, 3
  check nc
  check_eq eax, -6
  bsr eax, edx
  check nz
  check_eq eax, 0
  xor edx, edx
  bsf eax, edx
  check z
  mov rax, -1
  mov eax, eax ; 32-bit results clear the upper half
  mov rbx, 0xFFFFFFFF
  check_eq rax, rbx
  mov rax, -1
  mov ax, 5 ; 16-bit results do not
  mov rbx, 0xFFFFFFFFFFFF0005
  check_eq rax, rbx
  mov al, 0x9A
  mov ah, 0
  cmp al, al
  sahf
  check nz
  mov eax, 100
  mov edx, 0
  mov ecx, 7
  div ecx
  check_eq eax, 14
  check_eq edx, 2
  mov rax, 0x8000000000000000
  cqo
  mov rcx, -1
  expect_fault DE, 0, idiv rcx
  pass
