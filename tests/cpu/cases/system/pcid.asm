; PCIDs: CR4.PCIDE's rules, CR3 bit 63, global pages, and the four kinds of INVPCID.
; KVM without hardware behind it has no PCIDs.
; kvm: hardware
%include "long64.inc"
%define PML4_B 0x210000
%define OTHER 0x500000
; The page PLAY shows what [PLAY_PT] says; `remap a` changes it without a flush.
%macro remap 1
  mov dword [PLAY_PT], (%1) | 3
%endmacro
main:
  require_cpuid 1, ecx, 17, "PCID"
  mov dword [OTHER], 0x22222222
  mov dword [OTHER + 0x1000], 0x33333333
  ; CR3's low bits must be clear
  mov rbx, cr3
  lea rax, [rbx + 8]
  mov cr3, rax
  mov rcx, cr4
  mov rdx, rcx
  bts rdx, 17
  expect_fault GP, 0, mov cr4, rdx
  mov cr3, rbx
  mov cr4, rdx
  ; paging cannot be left with PCIDE
  mov rax, cr0
  btr rax, 31
  expect_fault GP, 0, mov cr0, rax
  ; bit 63 of CR3 is not stored
  mov rax, rbx
  bts rax, 63
  mov cr3, rax
  mov rax, cr3
  check_eq rax, rbx
  ; a new PCID never sees stale entries after the flushing form
  mov eax, [PLAY]
  remap OTHER
  lea rax, [rbx + 1]
  mov cr3, rax
  check_eq dword [PLAY], 0x22222222
  mov rax, cr3
  and eax, 0xFFF
  check_eq eax, 1
  mov cr3, rbx
  ; INVPCID
  require_cpuid 7, ebx, 10, "INVPCID"
  mov eax, [PLAY]
  remap OTHER + 0x1000
  mov qword [desc], 0
  mov qword [desc + 8], PLAY
  xor eax, eax
  invpcid rax, [desc]
  check_eq dword [PLAY], 0x33333333
  remap OTHER
  mov eax, 1
  invpcid rax, [desc]
  check_eq dword [PLAY], 0x22222222
  remap OTHER + 0x1000
  mov eax, 2
  invpcid rax, [desc]
  check_eq dword [PLAY], 0x33333333
  remap OTHER
  mov eax, 3
  invpcid rax, [desc]
  check_eq dword [PLAY], 0x22222222
  mov eax, 4
  expect_fault GP, 0, invpcid rax, [desc]
  xor eax, eax
  mov qword [desc], 0x1000
  expect_fault GP, 0, invpcid rax, [desc]
  mov qword [desc], 0
  mov rcx, 0x800000000000
  mov [desc + 8], rcx
  expect_fault GP, 0, invpcid rax, [desc]
  mov rax, cr4
  btr rax, 17
  mov cr4, rax
  mov qword [desc], 1
  mov eax, 1
  expect_fault GP, 0, invpcid rax, [desc]
  pass
  align 16
desc: times 2 dq 0
