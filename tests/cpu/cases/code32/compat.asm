; Compatibility mode: 32-bit code under 64-bit paging, in ring 0 and ring 3. Upper halves that 64-bit code left do not
; count, addresses wrap at 4 GiB where 64-bit code next to it has other memory, FS has a base, and both see what the other stored.
; KVM without hardware behind it takes INT in compatibility mode for undefined.
; kvm: hardware
%include "long64.inc"
%define OTHER_PD 0x200000 ; for 0x100000000..0x13FFFFFFF
%define OTHER 0x600000    ; what is at 0x100000000
%define BEYOND 0x100000000

%macro garbage 0 ; in the upper halves
  mov rax, 0x123456789ABCDEF0
  mov rbx, rax
  mov rcx, rax
  mov rdx, rax
  mov rsi, rax
  mov rdi, rax
  mov rbp, rax
%endmacro
; from 64-bit code: calls the 32-bit code with flat segments in ring 0, which ends by `jmp KCODE64:back`
%macro call32 1
  mov qword [return], %%back
  mov dword [pointer], %1
  mov word [pointer + 4], KCODE32
  jmp dword far [pointer]
%%back:
%endmacro

main:
  allow_user
  or dword [PLAY_PT], 4
  or dword [PLAY_PT + 8], 4
  mov dword [OTHER_PD], OTHER + 0x87
  mov dword [OTHER_PD + 4], 0
  mov dword [PDPT + 32], OTHER_PD + 7
  mov dword [PDPT + 36], 0
  mov rax, cr3
  mov cr3, rax
  mov eax, UDATA | 3
  mov ds, eax
  mov es, eax
  mov eax, KDATA
  mov ss, eax
  mov eax, UDATA | 3
  mov fs, eax
  set_msr 0xC0000100, 0, PLAY + 0x3000 ; FS base

  mov r15d, 3
.again:
  mov dword [PLAY + 0x20], 0x20
  mov dword [PLAY + 0x2020], 0x2020
  mov dword [0x10], 0x10 ; in the interrupt vectors nobody uses
  mov rbx, BEYOND
  mov dword [rbx + 0x10], 0x64001010
  mov dword [rbx], 0x64000000
  mov dword [PLAY + 0x3000 - 0x10], 0x2FF0
  garbage
  call32 first
  check_eq eax, 0x30
  shr rbx, 32
  check z
  check_eq dword [PLAY + 0x24], 0x2424
  ; the same addresses from here, by an instruction that goes everywhere
  mov ecx, 60
.everywhere:
  mov ebx, PLAY
  call read64
  check_eq eax, 0x20
  mov ebx, PLAY + 0x2000
  call read64
  check_eq eax, 0x2020
  dec ecx
  jnz .everywhere
  mov ebx, 0xFFFFFFF0
  call read64
  check_eq eax, 0x64001010
  mov rbx, 0xFFFFFFFFFFFFFFF0
  call read64
  check_eq eax, 0x10
  ; and from 32-bit code that goes everywhere
  garbage
  call32 second
  check_eq eax, 0x10
  check_eq edx, 0x10
  check_eq esi, 0x10
  check_eq edi, 0x10
  ; ring 3
  mov dword [PLAY + 0x40], 0
  garbage
  arm_fault .back
  push qword UDATA | 3
  push qword PLAY + 0x1800
  push qword 0x3002
  push qword UCODE32 | 3
  push qword user32
  iretq
.back:
  check_eq dword [fault_vector], 0x80
  check_eq qword [fault_cs], UCODE32 | 3
  check_eq dword [PLAY + 0x40], 7
  mov eax, UDATA | 3
  mov ds, eax
  mov es, eax
  mov fs, eax
  set_msr 0xC0000100, 0, PLAY + 0x3000
  mov eax, KDATA
  mov ss, eax
  dec r15d
  jnz .again
  pass
read64:
  mov eax, [rbx + 0x20]
  ret

  bits 32
first:
  mov edx, 0x20
  mov eax, [edx + PLAY]
  mov [PLAY + 0x24], eax
  imul eax, eax, 0x121 ; 0x2420
  add eax, 4
  mov ebx, PLAY
  mov [ebx + 0x24], eax
  push dword 0x10
  push eax
  pop ecx
  pop eax
  cmp ecx, 0x2424
  jne bad
  cmp dword [fs:0xFFFFFFF0], 0x2FF0
  jne bad
  mov edx, -8
  cmp dword [fs:edx * 2], 0x2FF0
  jne bad
  mov edx, 0xFFFFFFF0
  add eax, [edx + 0x20] ; 0x20
  add eax, [edx + 0x20] ; 0x30
  mov ebx, 0x7FFFFFFF
  add ebx, ebx
  call .twice
  jmp leave32
.twice:
  ret
second:
  mov ebp, 60
.loop:
  mov ebx, PLAY
  call read32
  cmp eax, 0x20
  jne bad
  cmp edx, 0x20
  jne bad
  mov ebx, PLAY + 0x2000
  call read32
  cmp eax, 0x2020
  jne bad
  cmp esi, 0x2020
  jne bad
  dec ebp
  jnz .loop
  mov ebx, 0xFFFFFFF0
  call read32
leave32:
  jmp KCODE64:back
bad:
  print "32-bit code"
  newline
  exit_code 1
read32:
  mov eax, [ebx + 0x20]
  xor ecx, ecx
  mov edx, [ebx + ecx * 4 + 0x20]
  mov ecx, 8
  mov esi, [ebx + ecx * 4]
  lea edi, [ebx + 0x20]
  mov edi, [edi]
  ret
user32:
  mov ecx, 7
.more:
  push ecx
  inc dword [PLAY + 0x40]
  pop eax
  dec ecx
  jnz .more
  int 0x80
  bits 64
back:
  jmp [return]
  align 8
return: dq 0
pointer: dq 0
