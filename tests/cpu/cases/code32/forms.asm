; 32-bit forms that 64-bit code has not or has otherwise: INC and DEC in a byte, addresses as immediates, 82h, high byte
; registers, 16-bit operands and branches, PUSHA, LES, AAA and its kind, INTO, BOUND.
%include "pm32.inc"
%define DATA 0x200000

; flags_are mask, value: of EFLAGS
%define flags_are flags_are_at __?LINE?__,
%macro flags_are_at 3
  pushfd
  pop edi
  and edi, %2
  check_eq_at %1, edi, %3
%endmacro
%define CF 1
%define AF 0x10
%define ZF 0x40
%define SF 0x80
%define OF 0x800

main:
  ; INC and DEC of each register keep CF and set the rest
  mov eax, 0x7FFFFFFF
  stc
  inc eax
  flags_are CF | AF | ZF | SF | OF, CF | AF | SF | OF
  check_eq eax, 0x80000000
  clc
  dec eax
  flags_are CF | AF | ZF | SF | OF, AF | OF
  mov ecx, -1
  stc
  inc ecx
  flags_are CF | AF | ZF | SF | OF, CF | AF | ZF
  check_eq ecx, 0
  dec ecx
  check_eq ecx, -1
  mov edx, 1
  inc edx
  mov ebx, 1
  dec ebx
  mov ebp, 0x10
  inc ebp
  mov esi, 0x20
  dec esi
  mov edi, 0x30
  inc edi
  check_eq edx, 2
  check_eq ebx, 0
  check_eq ebp, 0x11
  check_eq esi, 0x1F
  check_eq edi, 0x31
  mov ebp, esp
  inc esp
  dec esp
  dec esp
  inc esp
  check_eq esp, ebp
  ; with 16 bits the upper halves stay
  mov ecx, 0x1234FFFF
  inc cx
  check_eq ecx, 0x12340000
  dec cx
  check_eq ecx, 0x1234FFFF
  mov edi, 0x43210000
  dec di
  check_eq edi, 0x4321FFFF
  mov edi, 0x43217FFF
  inc di
  flags_are OF | SF, OF | SF

  ; addresses as immediates
  mov eax, 0x11223344
  mov [DATA], eax
  xor eax, eax
  mov al, [DATA + 1]
  check_eq eax, 0x33
  mov [DATA + 4], al
  mov ax, [DATA + 2]
  check_eq eax, 0x1122
  mov [DATA + 5], ax
  check_eq dword [DATA + 3], 0x11223311
  mov eax, [DATA]
  check_eq eax, 0x11223344

  ; 82h is 80h
  mov bl, 0x7F
  db 0x82, 0xC3, 0x02 ; add bl, 2
  flags_are OF | SF | CF, OF | SF
  check_eq bl, 0x81
  mov byte [DATA], 5
  db 0x82, 0x2D ; sub byte [DATA], 7
  dd DATA
  db 7
  flags_are CF | SF, CF | SF
  check_eq byte [DATA], 0xFE

  ; high and low byte registers
  mov eax, 0x00001200
  mov ecx, 0x00003400
  mov edx, 0x00005600
  mov ebx, 0x00007800
  add ah, ch
  check_eq eax, 0x4600
  mov dl, bh
  check_eq edx, 0x5678
  xchg ch, dh
  check_eq ecx, 0x5600
  check_eq edx, 0x3478
  mov [DATA], bh
  check_eq byte [DATA], 0x78
  movzx esi, ch
  check_eq esi, 0x56
  movsx edi, byte [DATA]
  check_eq edi, 0x78

  ; stack operations of 16 bits
  mov ebp, esp
  mov eax, 0xAAAA5555
  push ax
  push word 0x1234
  lea ecx, [ebp - 4]
  check_eq esp, ecx
  check_eq dword [esp], 0x55551234
  pop cx
  pop dx
  check_eq esp, ebp
  check_eq cx, 0x1234
  check_eq dx, 0x5555
  push dword [esp - 4]
  pop eax
  check_eq esp, ebp
  push byte -2
  pop eax
  check_eq eax, -2
  push esp
  pop eax
  check_eq eax, ebp
  push eax
  pop dword [esp - 8]
  check_eq [esp - 8], ebp
  ; PUSHA, POPA
  mov eax, 1
  mov ecx, 2
  mov edx, 3
  mov ebx, 4
  mov esi, 6
  mov edi, 7
  pushad
  check_eq dword [esp + 12], ebp
  check_eq dword [esp], 7
  check_eq dword [esp + 28], 1
  xor eax, eax
  xor edi, edi
  popad
  check_eq eax, 1
  check_eq edi, 7
  check_eq esp, ebp
  ; ENTER, LEAVE, calls and returns with arguments
  push dword 11
  push dword 22
  call .callee
  check_eq esp, ebp
  check_eq eax, 33
  mov eax, .callee
  push dword 1
  push dword 2
  call eax
  check_eq eax, 3
  push dword 3
  push dword 4
  mov dword [DATA], .callee
  call [DATA]
  check_eq eax, 7
  check_eq esp, ebp
  jmp .behind
.callee:
  push ebp
  mov ebp, esp
  sub esp, 0x20
  mov eax, [ebp + 8]
  add eax, [ebp + 12]
  mov [ebp - 0x20], eax
  leave
  mov eax, [esp - 0x24]
  ret 8
.behind:
  enter 16, 0
  leave
  check_eq esp, ebp

  ; branches with 16-bit operands lose the upper half of EIP: the case lies below 64 KiB
  xor eax, eax
  call word .near16
  check_eq eax, 5
  check_eq esp, ebp
  db 0x66, 0xEB, 2 ; jmp short
  inc eax
  inc eax
  xor ecx, ecx
  db 0x66, 0x74, 1 ; jz short
  inc eax
  check_eq eax, 5
  mov ecx, 3
.loop:
  inc eax
  loop .loop
  check_eq eax, 8
  jecxz .zero
  fail "JECXZ"
.near16:
  mov eax, 5
  o16 ret
.zero:

  ; what 64-bit code has not
  mov dword [DATA], 0x12345678
  mov word [DATA + 4], KDATA
  les ebx, [DATA]
  check_eq ebx, 0x12345678
  lds ecx, [DATA]
  check_eq ecx, 0x12345678
  mov eax, 0x0F
  aaa
  check_eq ax, 0x105
  mov eax, 0x79
  add al, 0x35
  daa
  check_eq al, 0x14
  mov eax, 0x0203
  aad
  check_eq ax, 23
  aam
  check_eq ax, 0x0203
  stc
  db 0xD6 ; salc
  check_eq al, 0xFF
  mov dword [DATA], 10
  mov dword [DATA + 4], 20
  mov eax, 15
  bound eax, [DATA]
  mov eax, 21
  expect_fault BR, 0, bound eax, [DATA]
  mov al, 0x7F
  add al, 1
  expect_trap OF_, 0, into
  xor eax, eax
  into

  ; addresses of 16 bits
  mov ebx, 0x12340000 + scratch - 0x10
  mov esi, 0x56780010
  mov dword [scratch], 0xCAFE
  a16 mov eax, [bx + si]
  check_eq eax, 0xCAFE
  ; 64-bit products and quotients
  mov eax, 0xFFFFFFFF
  mov edx, 0xFFFFFFFF
  mul edx
  check_eq edx, 0xFFFFFFFE
  check_eq eax, 1
  mov ecx, 0xFFFFFFFF
  div ecx
  check_eq eax, 0xFFFFFFFF
  check_eq edx, 0
  mov eax, 0x11223344
  bswap eax
  check_eq eax, 0x44332211
  xchg eax, edx
  check_eq edx, 0x44332211
  xor ecx, ecx
  expect_fault DE, 0, div ecx
  pass
  align 4
scratch: dd 0
