#include "cpu/translate/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "cpu/translate/translate.h"
#include "support/block_maker.h"

namespace vireo::cpu::translate {
namespace {

using Code = std::vector<u8>;

/// Guest code of every kind, each with what ends its block.
const std::vector<Code> kBlocks = {
    {0xC3},                                               // ret
    {0x48, 0x8B, 0x03, 0xC3},                             // mov rax, [rbx]; ret
    {0x48, 0x89, 0x44, 0x8B, 0x10, 0xC3},                 // mov [rbx + rcx * 4 + 16], rax
    {0x4C, 0x8B, 0x7C, 0xFE, 0x08, 0xC3},                 // mov r15, [rsi + rdi * 8 + 8]
    {0x4F, 0x8B, 0x14, 0x3B, 0xC3},                       // mov r10, [r11 + r15]
    {0x65, 0x48, 0x8B, 0x04, 0x25, 0x28, 0, 0, 0, 0xC3},  // mov rax, gs:[0x28]
    {0x64, 0x48, 0x8B, 0x44, 0x48, 0x10, 0xC3},           // mov rax, fs:[rax + rcx * 2 + 16]
    {0x65, 0x48, 0xFF, 0x34, 0x48, 0xC3},                 // push gs:[rax + rcx * 2]
    {0x67, 0x8B, 0x44, 0x48, 0x10, 0xC3},                 // mov eax, [eax + ecx * 2 + 16]
    {0x48, 0x8B, 0x05, 0x10, 0, 0, 0, 0xC3},              // mov rax, [rip + 16]
    {0x83, 0x3D, 0x10, 0, 0, 0, 0, 0x11, 0x1D, 0x20, 0, 0, 0, 0x48, 0xC7, 0x05, 0, 1, 0, 0, 1, 0, 0, 0, 0xC3},
    {0x55, 0x41, 0x57, 0x53, 0x50, 0x5B, 0x41, 0x5F, 0x5D, 0xC3},  // push rbp, r15, rbx, rax; pop rbx, r15, rbp
    {0xC9, 0xC3},                                                  // leave
    {0x68, 0x78, 0x56, 0x34, 0x12, 0xFF, 0x33, 0x6A, 0xFF, 0xC3},  // push imm; push [rbx]; push -1
    {0xE8, 0x10, 0, 0, 0},                                         // call within the page
    {0xE8, 0, 0, 1, 0},                                            // call to another
    {0xFF, 0xD0},                                                  // call rax
    {0xFF, 0x53, 0x10},                                            // call [rbx + 16]
    {0x41, 0xFF, 0xD3},                                            // call r11
    {0xFF, 0xE1},                                                  // jmp rcx
    {0xFF, 0x24, 0xC5, 0, 0x10, 0, 0},                             // jmp [rax * 8 + 0x1000]
    {0x74, 0x10, 0x75, 0xFC, 0x0F, 0x84, 0, 0, 1, 0, 0xEB, 0xF4},  // jz, jnz back, jz far, jmp back
    {0xF3, 0x0F, 0x10, 0x03, 0xC5, 0xFD, 0x7F, 0x07, 0xC3},        // movss xmm0, [rbx]; vmovdqa [rdi], ymm0
    {0xD3, 0x20, 0x48, 0x0F, 0xC7, 0x0B, 0xC3},                    // shl [rax], cl; cmpxchg16b [rbx]
    {0xF0, 0x48, 0x0F, 0xB1, 0x0A, 0xC3},                          // lock cmpxchg [rdx], rcx
    {0x88, 0x63, 0x01, 0x8A, 0x7B, 0x02, 0x00, 0xE1, 0xC3},        // mov [rbx + 1], ah; mov bh, [rbx + 2]; add cl, ah
    {0x89, 0x5C, 0x24, 0x1C, 0xFB},                                // mov [rsp + 28], ebx, with flags live; sti
    {0x0F, 0xA2, 0x48, 0x8B, 0x03, 0x0F, 0xA2, 0x48, 0x8B, 0x43, 0x08, 0xC3},  // cpuid; mov; cpuid; mov
    {0x48, 0x83, 0xC3, 0x08, 0x48, 0x8B, 0x03, 0x48, 0xFF, 0xC3, 0x48, 0x8B, 0x43, 0x07, 0x48,
     0x8D, 0x7B, 0x10, 0x48, 0x89, 0x07, 0x48, 0x89, 0xFE, 0x48, 0x11, 0x06, 0xC3},  // a group through add, inc, lea,
                                                                                     // mov
    {0xFA, 0x11, 0xC8, 0x48, 0x8B, 0x03, 0x11, 0xC8, 0xC3},  // cli; adc; mov rax, [rbx] with flags live; adc
    {0x48, 0x8D, 0x04, 0x0B, 0x48, 0x8B, 0x14, 0x30, 0x65, 0x48, 0x03, 0x54, 0x30, 0x08, 0xC3},  // lea rax, [rbx + rcx]
};

class Verify : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto can = supported(); !can) GTEST_SKIP() << can.error().message;
    maker_ = std::make_unique<test::BlockMaker>();
  }
  std::optional<Violation> look(const Block& block, const u8* code) {
    return find_violation(block, code, maker_->layout(), maker_->cache.thunks(), maker_->cache.tables());
  }
  /// Puts `with` where `pattern` is found first in the host code of `guest`, and expects that to be refused.
  void refused(const Code& guest, const Code& pattern, const Code& with, const std::string& what, unsigned offset = 0) {
    const Block& block = maker_->make(guest);
    ASSERT_FALSE(look(block, block.code));
    Code code(block.code, block.code + block.code_size);
    const auto at = std::search(code.begin(), code.end(), pattern.begin(), pattern.end());
    ASSERT_NE(at, code.end()) << what;
    std::copy(with.begin(), with.end(), at + offset);
    const auto violation = look(block, code.data());
    ASSERT_TRUE(violation) << "accepted: " << what;
    EXPECT_NE(violation->what.find(what), std::string::npos) << violation->what;
  }
  std::unique_ptr<test::BlockMaker> maker_;
};

TEST_F(Verify, AcceptsWhatIsGenerated) {
  for (const Code& guest : kBlocks) {
    for (const bool scattered : {false, true}) {
      for (const bool ungrouped : {false, true}) {
        const Block& block = maker_->make(guest, 0x8000, scattered, ungrouped);
        const auto violation = look(block, block.code);
        EXPECT_FALSE(violation) << violation->what << " at " << violation->offset << " of the host code for block "
                                << &guest - kBlocks.data();
      }
    }
  }
}

const Code kLoad = {0x48, 0x8B, 0x03, 0xC3};                                              // mov rax, [rbx]; ret
const Code kFiller = {0x48, 0x8B, 0x03, 0xBA, 1, 0, 0, 0, 0x48, 0x8B, 0x43, 0x08, 0xC3};  // mov edx, 1 in a group
const Code kEdx = {0xBA, 1, 0, 0, 0};

TEST_F(Verify, RefusesAnAccessWhoseCheckIsGone) {
  refused(kLoad, {0x0F, 0x87}, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, "check");
}

TEST_F(Verify, RefusesACheckThatLetsPassTheOtherHalf) { refused(kLoad, {0x0F, 0x87}, {0x0F, 0x86}, "check"); }

TEST_F(Verify, RefusesAStoreThroughASlotForLoads) {
  refused(kLoad, {0x48, 0x8B, 0x04, 0x0B}, {0x48, 0x89, 0x04, 0x0B}, "store through a slot for loads");
}

TEST_F(Verify, RefusesAnAccessBeyondWhatWasChecked) {
  refused(kFiller, {0x48, 0x8B, 0x44, 0x0B, 0x08}, {0x09}, "not within", 4);
}

TEST_F(Verify, RefusesARegisterThatChangedBehindItsCheck) {
  refused(kFiller, kEdx, {0xBB}, "not within");  // mov ebx, 1
}

TEST_F(Verify, RefusesAnAccessWithoutTheSlot) {
  refused(kLoad, {0x48, 0x8B, 0x04, 0x0B}, {0x48, 0x8B, 0x04, 0x1B}, "without a check");  // [rbx + rbx]
}

TEST_F(Verify, RefusesInstructionsThatDoNotBelong) {
  for (const Code& with : {Code{0x0F, 0x05, 0x90, 0x90, 0x90},     // syscall
                           Code{0xCD, 0x80, 0x90, 0x90, 0x90},     // int 0x80
                           Code{0xCC, 0x90, 0x90, 0x90, 0x90},     // int3
                           Code{0xF4, 0x90, 0x90, 0x90, 0x90},     // hlt
                           Code{0x0F, 0x01, 0xF8, 0x90, 0x90},     // swapgs
                           Code{0xF3, 0x48, 0x0F, 0xAE, 0xDA},     // wrgsbase rdx
                           Code{0xF3, 0x48, 0x0F, 0xAE, 0xC2},     // rdfsbase rdx
                           Code{0x9D, 0x90, 0x90, 0x90, 0x90},     // popf
                           Code{0x52, 0x90, 0x90, 0x90, 0x90},     // push rdx
                           Code{0x48, 0xA5, 0x90, 0x90, 0x90},     // movsq
                           Code{0xE6, 0x80, 0x90, 0x90, 0x90},     // out
                           Code{0xFD, 0x90, 0x90, 0x90, 0x90},     // std
                           Code{0xD7, 0x90, 0x90, 0x90, 0x90}}) {  // xlat
    refused(kFiller, kEdx, with, "");
  }
  refused(kFiller, kEdx, {0x8E, 0xE2, 0x90, 0x90, 0x90}, "segment");           // mov fs, edx
  refused(kFiller, kEdx, {0xBC}, "stack pointer");                             // mov esp, 1
  refused(kFiller, kEdx, {0x48, 0x8D, 0x14, 0x24, 0x90}, "stack pointer");     // lea rdx, [rsp]
  refused(kFiller, kEdx, {0x64, 0x48, 0x8B, 0x12, 0x90}, "FS");                // mov rdx, fs:[rdx]
  refused(kFiller, kEdx, {0xFF, 0xE2, 0x90, 0x90, 0x90}, "jump to anywhere");  // jmp rdx
  refused(kFiller, kEdx, {0xFF, 0xD2, 0x90, 0x90, 0x90}, "call to anywhere");  // call rdx
}

TEST_F(Verify, RefusesJumpsToWhereNothingBegins) {
  refused(kFiller, kEdx, {0xEB, 0xFF}, "jump into");
  refused({0x74, 0x10, 0xC3}, {0x0F, 0x84}, {0x00, 0x10, 0x00, 0x00}, "jump out of the block", 2);
}

TEST_F(Verify, RefusesFieldsThatAreNoneOfTheGuests) {
  const Code guest = {0x4C, 0x89, 0xD8, 0xC3};  // mov rax, r11
  const Block& block = maker_->make(guest);
  Code code(block.code, block.code + block.code_size);
  const Code load = {0x65, 0x4C, 0x8B, 0x1C, 0x25, 0x58, 0x01, 0, 0};  // mov r11, gs:[0x158]
  const auto at = std::search(code.begin(), code.end(), load.begin(), load.end());
  ASSERT_NE(at, code.end());
  for (const Mem& field :
       {maker_->layout().at(&Context::host_sp), maker_->layout().at(&Context::self),
        maker_->layout().at(&Context::code_sp), maker_->layout().slot(500, &Slot::delta), maker_->layout().edge(77)}) {
    store<u32>(&*at + 5, static_cast<u32>(field.disp));
    EXPECT_TRUE(look(block, code.data())) << field.disp;
  }
}

TEST_F(Verify, RefusesToComeBackPastACheck) {
  const Block& block = maker_->make(kLoad);
  Code code(block.code, block.code + block.code_size);
  const Code access = {0x48, 0x8B, 0x04, 0x0B};
  const auto target = std::search(code.begin(), code.end(), access.begin(), access.end()) - code.begin();
  // The first cold path's jump back: behind its call.
  const u8* const passed = maker_->cache.tables().sites[maker_->cache.tables().sites.size() - 2].passed;
  bool found = false;
  for (std::size_t i = static_cast<std::size_t>(target); i + 5 <= code.size(); ++i) {
    const auto to = static_cast<i64>(i) + 5 + static_cast<i32>(load<u32>(&code[i + 1]));
    if (code[i] != 0xE9 || to < 0 || to >= passed - block.code) continue;
    store<u32>(&code[i + 1],
               static_cast<u32>(target - 9 - static_cast<i64>(i) - 5));  // to the load of the slot's delta
    found = true;
    break;
  }
  ASSERT_TRUE(found);
  const auto violation = look(block, code.data());
  ASSERT_TRUE(violation);
}

TEST_F(Verify, GetsAlongWithAnyBytes) {
  std::mt19937 random(1);
  for (const Code& guest : kBlocks) {
    const Block& block = maker_->make(guest);
    for (unsigned i = 0; i < 300; ++i) {
      Code code(block.code, block.code + block.code_size);
      for (unsigned k = 0; k <= i % 3; ++k) code[random() % code.size()] = static_cast<u8>(random());
      (void)look(block, code.data());
    }
  }
}

}  // namespace
}  // namespace vireo::cpu::translate
