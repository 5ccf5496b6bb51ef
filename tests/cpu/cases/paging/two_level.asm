; 32-bit paging: two levels, 4 KiB and 4 MiB pages, CR0.WP, user and supervisor, PSE off makes bit 7 nothing.
; kvm: hardware
%include "pm32.inc"
%define DIR 0x200000
%define TABLE 0x201000 ; for 0x400000..0x7FFFFF
%define PTE(n) (TABLE + 4 * (n))
%define PAGE(n) (0x400000 + 0x1000 * (n))
main:
  mov edi, DIR
  mov ecx, 2048
  xor eax, eax
  rep stosd
  mov edi, TABLE
  mov eax, 0x400003
  mov ecx, 1024
.fill:
  mov [edi], eax
  add edi, 4
  add eax, 0x1000
  loop .fill
  mov dword [DIR], 0x83 | 4 ; the first 4 MiB, for users too
  mov dword [DIR + 4], TABLE | 7
  mov dword [DIR + 4 * 2], 0x800083
  mov eax, 0x10
  mov cr4, eax ; PSE
  mov eax, DIR
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  ; A and D
  mov eax, [PAGE(1)]
  check_eq dword [PTE(1)], PAGE(1) + 0x23
  mov [PAGE(1)], eax
  check_eq dword [PTE(1)], PAGE(1) + 0x63
  mov [0x800000], eax
  mov eax, [DIR + 8]
  check_eq eax, 0x8000E3
  ; another mapping: page 2 shows page 3's frame
  mov dword [PAGE(3)], 0x33333333
  mov dword [PTE(2)], PAGE(3) + 3
  invlpg [PAGE(2)]
  check_eq dword [PAGE(2)], 0x33333333
  ; absent, read-only with and without CR0.WP
  mov dword [PTE(4)], 0
  invlpg [PAGE(4)]
  expect_fault PF, 0, mov eax, [PAGE(4) + 8]
  check_eq dword [fault_cr2], PAGE(4) + 8
  expect_fault PF, 2, mov [PAGE(4)], eax
  mov dword [PTE(5)], PAGE(5) + 1
  invlpg [PAGE(5)]
  mov [PAGE(5)], eax ; WP is off
  mov eax, cr0
  bts eax, 16
  mov cr0, eax
  expect_fault PF, 3, mov [PAGE(5)], eax
  ; a reserved bit of a 4 MiB page (21)
  mov dword [DIR + 4 * 3], 0xE00083 | 0x200000
  expect_fault PF, 9, mov eax, [0xC00000]
  mov dword [DIR + 4 * 3], 0xC00083 & ~0x80
  ; PSE off: bit 7 does not make a page large; the entry points at a table, 0xC00000, full of zeros
  mov dword [0x800000], 0
  mov dword [DIR + 4 * 3], 0x800083
  mov eax, cr4
  btr eax, 4
  mov edi, DIR ; the case runs in a 4 MiB page: it needs a table first
  mov esi, 0x202000
  mov ecx, 1024
  mov edx, 7
.low:
  mov [esi], edx
  add esi, 4
  add edx, 0x1000
  loop .low
  mov dword [DIR], 0x202000 | 7
  mov cr4, eax
  expect_fault PF, 0, mov eax, [0xC00000]
  pass
