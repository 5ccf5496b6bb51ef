; 32-bit segments: limits, expand-down, read-only, null, not present, code segments as data, privilege.
%include "pm32.inc"

%macro descriptor 3 ; slot, high dword, low dword
  mov dword [gdt_spare + (%1) * 8], %3
  mov dword [gdt_spare + (%1) * 8 + 4], %2
%endmacro
%define SLOT(n) (SPARE + (n) * 8)

main:
  ; data, base 0x200000, limit 0xFFF bytes
  descriptor 0, 0x00409220, 0x00000FFF
  mov eax, SLOT(0)
  mov es, eax
  mov dword [es:0xFFC], 0x12345678
  check_eq dword [0x200FFC], 0x12345678
  test byte [gdt_spare + 5], 1 ; loading set the accessed bit
  check nz
  expect_fault GP, 0, mov eax, [es:0xFFD]
  mov es, [.slot0] ; the handler reloads ES
  expect_fault GP, 0, mov byte [es:0x1000], 1
  ; the same as stack: #SS
  mov ebx, 0x1000
  mov ecx, SLOT(0)
  mov ebp, esp
  mov edi, 0xFFE
  mov ss, ecx
  mov esp, 0x800
  push eax
  mov edx, esp
  mov ecx, KDATA
  mov ss, ecx
  mov esp, ebp
  check_eq edx, 0x7FC
  ; expand-down, 32 bit, limit 0xFFF: valid above it
  descriptor 1, 0x00409620, 0x00000FFF
  mov eax, SLOT(1)
  mov es, eax
  mov byte [es:0x1000], 0x42
  check_eq byte [0x201000], 0x42
  expect_fault GP, 0, mov al, [es:0xFFF]
  ; read-only
  descriptor 2, 0x00CF9000, 0x0000FFFF
  mov eax, SLOT(2)
  mov es, eax
  mov eax, [es:0x7C00]
  expect_fault GP, 0, mov [es:0x300000], eax
  ; a code segment that may be read, and one that may not
  mov eax, KCODE32
  mov es, eax
  mov eax, [es:0x7C00]
  expect_fault GP, 0, mov [es:0x300000], eax
  descriptor 3, 0x00CF9800, 0x0000FFFF
  mov eax, SLOT(3)
  expect_fault GP, SLOT(3), mov es, eax
  ; not present, beyond the table, a system descriptor, a null selector
  descriptor 4, 0x00CF1200, 0x0000FFFF
  mov eax, SLOT(4)
  expect_fault NP, SLOT(4), mov es, eax
  expect_fault SS_, SLOT(4), mov ss, eax
  mov eax, 0x1000
  expect_fault GP, 0x1000, mov es, eax
  mov eax, TSS(0)
  expect_fault GP, TSS(0), mov es, eax
  xor eax, eax
  mov es, eax
  expect_fault GP, 0, mov al, [es:0x7C00]
  expect_fault GP, 0, mov ss, eax
  ; SS wants RPL = DPL = CPL and a writable segment
  mov eax, UDATA
  expect_fault GP, UDATA, mov ss, eax
  mov eax, SLOT(2)
  expect_fault GP, SLOT(2), mov ss, eax
  ; LAR, LSL, VERR, VERW
  mov eax, SLOT(0)
  lar ebx, eax
  check z
  check_eq ebx, 0x00409300
  lsl ebx, eax
  check z
  check_eq ebx, 0xFFF
  mov eax, KDATA
  lsl ebx, eax
  check_eq ebx, 0xFFFFFFFF
  mov eax, SLOT(2)
  verr ax
  check z
  verw ax
  check nz
  mov eax, 0x1000
  lar ebx, eax
  check nz
  ; far pointers
  les eax, [.far]
  check_eq eax, 0x1234
  mov eax, es
  check_eq eax, SLOT(0)
  pass
.slot0: dd SLOT(0)
.far: dd 0x1234
  dw SLOT(0)
