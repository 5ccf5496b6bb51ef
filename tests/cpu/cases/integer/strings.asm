; REP string instructions: counts, directions, comparison ends, and that a fault in the middle keeps the progress.
%include "long64.inc"
main:
  mov edi, PLAY
  mov eax, 0x11223344
  mov ecx, 0x400
  rep stosd
  check_eq edi, PLAY + 0x1000
  check_eq ecx, 0
  mov esi, PLAY
  mov edi, PLAY + 0x1003
  mov ecx, 0x1000
  rep movsb
  check_eq dword [PLAY + 0x1003], 0x11223344
  check_eq dword [PLAY + 0x1FFF], 0x11223344
  ; overlapping forward copy smears
  mov byte [PLAY], 0x5A
  mov esi, PLAY
  mov edi, PLAY + 1
  mov ecx, 100
  rep movsb
  check_eq byte [PLAY + 100], 0x5A
  check_eq byte [PLAY + 101], 0x33
  ; backward
  std
  mov esi, PLAY + 0x20
  mov edi, PLAY + 0x28
  mov ecx, 3
  rep movsq
  cld
  check_eq esi, PLAY + 8
  check_eq edi, PLAY + 0x10
  ; SCASB and CMPSB stop at the right place
  mov byte [PLAY + 0x300], 0
  mov edi, PLAY + 0x200
  xor eax, eax
  mov ecx, -1
  repne scasb
  check e
  check_eq edi, PLAY + 0x301
  not ecx
  check_eq ecx, 0x101
  mov esi, PLAY + 0x400
  mov edi, PLAY + 0x800
  mov ecx, 0x100
  mov byte [PLAY + 0x810], 0x77
  repe cmpsb
  check ne
  check_eq ecx, 0x100 - 0x11
  ; ECX = 0 does nothing, not even a fault
  mov rdi, 0x8000000000000000
  xor ecx, ecx
  rep stosb
  ; a fault on the second page: RCX, RSI and RDI tell how far it came
  mov qword [PLAY_PT + 8 * 5], 0
  invlpg [PLAY + 0x5000]
  mov esi, PLAY
  mov edi, PLAY + 0x4FF0
  mov ecx, 0x100
  expect_fault PF, 2, rep movsb
  check_eq ecx, 0xF0
  check_eq edi, PLAY + 0x5000
  check_eq esi, PLAY + 0x10
  check_eq qword [fault_cr2], PLAY + 0x5000
  pass
