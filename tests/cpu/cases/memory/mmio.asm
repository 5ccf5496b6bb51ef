; Device memory: every size, every direction, once each; crossing is split; read-modify-write; string copies; with faults.
%include "long64.inc"
%macro accesses 1
  in eax, MMIO_COUNT_PORT
  check_eq eax, %1
%endmacro
main:
  mov ebx, MMIO_PAGE
  in eax, MMIO_COUNT_PORT
  mov rax, 0x1122334455667788
  mov [rbx], rax
  accesses 1
  mov eax, [rbx + 4]
  check_eq eax, 0x11223344
  accesses 1
  mov byte [rbx + 1], 0xAA
  mov word [rbx + 2], 0xBBCC
  movzx eax, byte [rbx + 1]
  check_eq eax, 0xAA
  movsx eax, word [rbx + 2]
  check_eq eax, 0xFFFFBBCC
  accesses 4
  add dword [rbx + 4], 0x10
  accesses 2
  lock inc dword [rbx + 4]
  mov eax, [rbx + 4]
  check_eq eax, 0x11223355
  mov eax, 5
  xchg eax, [rbx + 8]
  check_eq eax, 0
  cmp dword [rbx + 8], 5
  check e
  in eax, MMIO_COUNT_PORT
  push qword [rbx]
  pop rax
  accesses 1
  ; block moves into it and out of it
  mov esi, main
  lea edi, [rbx + 0x100]
  mov ecx, 16
  rep movsd
  accesses 16
  lea esi, [rbx + 0x100]
  mov edi, PLAY
  mov ecx, 64
  rep movsb
  accesses 64
  mov esi, main
  mov edi, PLAY
  mov ecx, 64
  repe cmpsb
  check e
  ; from it to itself
  lea esi, [rbx + 0x100]
  lea edi, [rbx + 0x200]
  mov ecx, 4
  rep movsq
  accesses 8
  mov rax, [main]
  check_eq rax, [rbx + 0x200]
  ; the rest of the address space reads as zero
  mov eax, 0xD0100000
  mov eax, [rax]
  check_eq eax, 0
  pass
