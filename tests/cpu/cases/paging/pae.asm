; PAE paging: PDPTEs are loaded by MOV CR3, 2 MiB pages, NX, reserved bits, memory above 4 GiB.
; high-memory: 2
; kvm: hardware
%include "pm32.inc"
%define PDPTE 0x200000
%define DIR0 0x201000
%define TABLE 0x202000 ; for 0x400000..0x5FFFFF
%define DIR1 0x203000
%define PTE(n) (TABLE + 8 * (n))
%define PAGE(n) (0x400000 + 0x1000 * (n))
main:
  mov edi, PDPTE
  mov ecx, 4096
  xor eax, eax
  rep stosd
  mov edi, DIR0
  mov eax, 0x83
.large:
  mov [edi], eax
  add edi, 8
  add eax, 0x200000
  cmp eax, 0x1000000
  jb .large
  mov dword [DIR0 + 8 * 2], TABLE | 7
  mov edi, TABLE
  mov eax, 0x400003
  mov ecx, 512
.small:
  mov [edi], eax
  add edi, 8
  add eax, 0x1000
  loop .small
  mov dword [PDPTE], DIR0 | 1
  mov eax, 0x20
  mov cr4, eax
  mov eax, PDPTE
  mov cr3, eax
  mov ecx, 0xC0000080
  rdmsr
  bts eax, 11 ; NXE
  wrmsr
  mov eax, cr0
  or eax, 0x80010000
  mov cr0, eax
  ; a PDPTE that was changed in memory is seen after MOV CR3 only
  expect_fault PF, 0, mov eax, [0x40000000]
  mov dword [DIR1], 0x600083
  mov dword [0x600010], 0x12345678
  mov dword [PDPTE + 8], DIR1 | 1
  expect_fault PF, 0, mov eax, [0x40000010]
  mov eax, cr3
  mov cr3, eax
  check_eq dword [0x40000010], 0x12345678
  ; 2 MiB pages at 4 GiB
  mov dword [DIR1 + 8], 0x83
  mov dword [DIR1 + 12], 1
  mov dword [0x40200004], 0xCAFE
  check_eq dword [0x40200004], 0xCAFE
  mov eax, [DIR1 + 8]
  check_eq eax, 0xE3
  ; NX
  mov dword [PTE(1) + 4], 0x80000000
  invlpg [PAGE(1)]
  mov byte [PAGE(1)], 0xC3
  mov eax, PAGE(1)
  arm_fault .fetched
  call eax
  fail "executed"
.fetched:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 0x11
  check_eq dword [fault_eip], PAGE(1)
  ; reserved: bit 62 of a PTE
  mov dword [PTE(2) + 4], 0x40000000
  invlpg [PAGE(2)]
  expect_fault PF, 9, mov eax, [PAGE(2)]
  ; a PDPTE with RW set is reserved: MOV CR3 is #GP and changes nothing
  mov dword [PDPTE + 16], DIR1 | 3
  mov eax, cr3
  expect_fault GP, 0, mov cr3, eax
  check_eq dword [0x40000010], 0x12345678
  pass
