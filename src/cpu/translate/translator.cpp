#include "cpu/translate/translator.h"

#include <sys/auxv.h>
#include <cstring>
#include <thread>

#include "base/log.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

bool host_has_bmi2() {
  u32 eax = 7, ebx, ecx = 0, edx;
  asm("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  return ebx & bit(8);
}

bool host_has_avx() { return __builtin_cpu_supports("avx"); }

bool announces_avx512(const CpuidTable& cpuid) {
  const auto* leaf = cpuid.find(7, 0);
  return leaf != nullptr && (leaf->ebx & bit(16)) != 0;
}

}  // namespace

Result<> supported() {
  constexpr u64 kHwcap2FsGsBase = 2;  // Linux arch/x86/include/uapi/asm/hwcap2.h
  if (!(::getauxval(AT_HWCAP2) & kHwcap2FsGsBase))
    return fail(ErrorKind::Failed,
                "the translator needs the host's FSGSBASE instructions (Linux 5.9 and an Ivy Bridge, Zen or later)");
  if (!host_has_bmi2() || !host_has_avx())
    return fail(ErrorKind::Failed, "the translator needs a host CPU with AVX and BMI2 (Haswell, Zen or later)");
  return {};
}

Result<std::unique_ptr<vm::Vcpu>> make_translator(const vm::VcpuSetup& setup, const Options& options) {
  TRY(supported());
  TRY_ASSIGN(auto translator, Translator::make(setup, options));
  return translator;
}

Result<std::unique_ptr<Translator>> Translator::make(const vm::VcpuSetup& setup, const Options& options) {
  TRY_ASSIGN(auto code, host::CodeMemory::create(options.code_cache));
  TRY_ASSIGN(auto log, host::Map::anonymous(Translations::kLogBytes));
  TRY_ASSIGN(auto stacks, host::Map::anonymous(kModes * kStackBytes));
  for (unsigned mode = 0; mode < kModes; ++mode) TRY(stacks.forbid(mode * kStackBytes, kPageSize));
  install_fault_handler();
  std::unique_ptr<Translator> translator(
      new Translator(setup, options, std::move(code), std::move(log), std::move(stacks)));
  translator->cache_.name_blocks_in(options.perf_map);
  return translator;
}

namespace {

Layout make_layout(const void* gs, interp::Cpu& cpu, Context& context) {
  const auto at = [gs](const void* field) {
    return static_cast<i32>(static_cast<const u8*>(field) - static_cast<const u8*>(gs));
  };
  Layout layout;
  layout.registers = at(&cpu.r);
  layout.rflags = at(&cpu.rflags);
  layout.attention = at(&cpu.attention);
  layout.interrupts_held = at(&cpu.interrupts_held);
  for (unsigned segment = 0; segment < 6; ++segment) {
    layout.segments[segment] = at(&cpu.sys.segment[segment]);
    layout.segment_base[segment] = at(&cpu.sys.segment[segment].base);
  }
  layout.selector = at(&cpu.sys.segment[0].selector) - layout.segments[0];
  layout.cpl = at(&cpu.cpl);
  layout.cpu_view = at(&cpu.view);
  layout.kernel_gs_base = at(&cpu.sys.kernel_gs_base);
  layout.tsc_aux = at(&cpu.sys.tsc_aux);
  layout.tsc_offset = at(&cpu.tsc_offset);
  layout.vectors = at(&cpu.fpu.zmm);
  layout.mxcsr = at(&cpu.fpu.mxcsr);
  layout.opmask = at(&cpu.fpu.opmask);
  layout.context = at(&context);
  layout.object = &context;
  layout.avx512 = announces_avx512(cpu.cpuid);
  return layout;
}

}  // namespace

Translator::Translator(const vm::VcpuSetup& setup, const Options& options, host::CodeMemory code, host::Map log,
                       host::Map stacks)
    : RunLoop(setup),
      layout_(make_layout(this, cpu_, context_)),
      translations_(setup.memory, context_, std::move(log)),
      cache_(setup.memory, *this, context_, layout_, std::move(code), options.stress),
      stacks_(std::move(stacks)),
      stress_(options.stress) {
  context_.self = reinterpret_cast<u64>(this);
  const auto function = [this](Call call, u64 (*f)(Translator*, u64)) {
    context_.function[static_cast<unsigned>(call)] = reinterpret_cast<u64>(f);
  };
  function(Call::Access, on_access);
  function(Call::Helper, on_helper);
  function(Call::Link, on_link);
  function(Call::Jump, on_jump);
  function(Call::Leave, on_leave);
  function(Call::Fault, on_fault);
  context_.vectors_loaded = context_.reload_vectors = false;
  context_.host_mxcsr = 0x1F80;
  context_.status_mask = rflags::kStatus;
  context_.not_status_mask = ~rflags::kStatus;
  context_.pushed_mask = rflags::Fixed1 | (rflags::kDefined & ~(rflags::kStatus | rflags::VM | rflags::RF));
  translations_.set_empty_jump(cache_.thunks().jump_miss);
  context_.mode = cache_.mode_index(known_[0].mode);
  forget_crossings();
  reset_stacks();
  cpu_.keeper = this;
  cpu_.memory.add_code_listener(this);
}

Translator::~Translator() { cpu_.memory.remove_code_listener(this); }

namespace {

bool is_flat_data(const Segment& segment) {
  constexpr unsigned kTypeMask = 0xE, kWritableData = 2;  // expanding up
  return (segment.type() & kTypeMask) == kWritableData && segment.s() && segment.present() && !segment.unusable() &&
         segment.limit == 0xFFFFFFFF;
}

/// Whether offsets in 32-bit code are addresses, and nothing but paging restricts them.
bool is_flat32(const interp::Cpu& cpu) {
  const auto& segment = cpu.sys.segment;
  if (cpu.mode != interp::CodeMode::Bits32 || !cpu.protected_mode() || segment[CS].base != 0 ||
      segment[CS].limit != 0xFFFFFFFF || !segment[SS].db() || (cpu.cpl != 0 && cpu.cpl != 3))
    return false;
  for (const Seg seg : {SS, DS, ES}) {
    if (!is_flat_data(segment[seg]) || segment[seg].base != 0) return false;
  }
  return true;
}

}  // namespace

bool Translator::translatable() const {
  return (cpu_.code64() || is_flat32(cpu_)) && !cpu_.careful && cpu_.view != SoftTlb::Strict &&
         !(cpu_.rflags & (rflags::TF | rflags::VM));
}

/// What 32-bit code relies on: upper halves that are clear, which the architecture leaves undefined, and bases.
void Translator::give_32() {
  for (unsigned reg = 0; reg < 8; ++reg) cpu_.r[reg] = static_cast<u32>(cpu_.r[reg]);
  for (unsigned seg = FS; seg <= GS; ++seg) {
    const Segment& segment = cpu_.sys.segment[seg];
    context_.segment_base[seg - FS] = is_flat_data(segment) ? static_cast<u32>(segment.base) : kNoSegment;
  }
}

Mode Translator::current_mode() const {
  u8 bits = cpu_.code64() ? 0 : Mode::Code32;
  if (cpu_.cpl == 3) bits |= Mode::User;
  if (cpu_.cpl != 3 && cpu_.view == SoftTlb::SupervisorUserAccess) bits |= Mode::SupervisorUserAccess;
  if (cpu_.rflags & rflags::DF) bits |= Mode::Df;
  if (cpu_.rflags & (rflags::IOPL | rflags::NT)) bits |= Mode::OddFlags;
  constexpr u64 avx = xcr0::SSE | xcr0::AVX, avx512 = avx | xcr0::Opmask | xcr0::ZmmHi256 | xcr0::Hi16Zmm;
  if ((cpu_.sys.cr4 & cr4::OSFXSR) && !cpu_.fpu_blocked) bits |= Mode::Sse;
  if ((cpu_.sys.cr4 & cr4::OSXSAVE) && !(cpu_.sys.cr0 & cr0::TS)) {
    if ((cpu_.sys.xcr0 & avx) == avx) bits |= Mode::Avx;
    if ((cpu_.sys.xcr0 & avx512) == avx512) bits |= Mode::Avx512;
  }
  return {bits};
}

/// The mode of the CPU becomes that of the code that is found from now on.
void Translator::enter_mode() {
  const Mode mode = current_mode();
  if (mode == known_[context_.mode].mode) return;
  context_.stack_pointers[context_.mode] = context_.code_sp;
  const u64 flushed = cache_.counters().flushed;
  const unsigned index = cache_.mode_index(mode);
  if (cache_.counters().flushed != flushed) {
    forget_all_code();
  }
  known_[index] = {.mode = mode,
                   .view = mode.user()                              ? SoftTlb::User
                           : mode.bits & Mode::SupervisorUserAccess ? SoftTlb::SupervisorUserAccess
                                                                    : SoftTlb::Supervisor};
  context_.mode = index;
  context_.code_sp = context_.stack_pointers[index];
}

/// Where the guest's time-stamp counter is the host's and an offset, translated code reads it.
void Translator::read_clock() {
  const vm::TscScale scale = cpu_.clock.tsc_scale();
  const bool plain = scale.scale == u64{1} << 32 && __builtin_ia32_rdtsc() >= scale.host_base;
  context_.tsc_offset = scale.guest_base - scale.host_base;
  context_.tsc_by_helper = !plain || (cpu_.sys.cr4 & cr4::TSD) != 0;
}

void Translator::run_code() {
  set_current(this);
  const auto enter = reinterpret_cast<void (*)(void*, u64)>(reinterpret_cast<u64>(cache_.thunks().enter));
  while (!cpu_.attention.load(std::memory_order_relaxed)) {
    flush_if_wanted();
    cpu_.event.interrupt_shadow = false;  // nothing waits: what comes from now on comes after the shadow
    if (interpret_next_ || !translatable()) {
      interpret_next_ = false;
      execute_at_rip(&counts_.alone);
    } else {
      enter_mode();
      if (stress_.forget_everywhere) flush_all();
      if (!begin_code()) continue;
      entering_ = true;
      give_flags();
      context_.target = cpu_.rip;
      read_clock();
      ++counts_.entries;
      enter(this, context_.jumps[context_.mode][cpu_.rip % kJumpEntries]);
      end_code();
    }
    if (take_halt() || cpu_.careful) return;
  }
}

// --- Flushes

void Translator::flush_all() {
  forget_crossings();
  translations_.flush_all();
  reset_stacks();
}

void Translator::flush_non_global() {
  translations_.flush_non_global();
  reset_stacks();
}

void Translator::flush_page(u64 va) {
  translations_.flush_page(va);
  reset_stacks();
}

/// No guest call is pending any more: returns go by Context::jumps.
void Translator::reset_stacks() {
  for (unsigned mode = 0; mode < kModes; ++mode) {
    u8* top = stacks_.data() + (mode + 1) * kStackBytes - 64;
    store<u64>(top, reinterpret_cast<u64>(cache_.thunks().underflow[mode]));
    context_.stack_pointers[mode] = reinterpret_cast<u64>(top);
  }
  context_.code_sp = context_.stack_pointers[context_.mode];
}

void Translator::flush_cache() {
  cache_.flush();
  forget_all_code();
}

/// The cache has been flushed.
void Translator::forget_all_code() {
  translations_.clear();
  reset_stacks();
  forget_crossings();
}

/// C++ has just executed one, in mode `from`: what it did is done again without C++.
void Translator::learn_crossing(u16 mnemonic, unsigned from, u64 flags_before) {
  static_assert(sizeof(Segment) == sizeof Landing::code && sizeof(Segment) == sizeof Landing::stack_segment);
  static_assert(sizeof cpu_.cpl == sizeof Landing::cpl && sizeof cpu_.view == sizeof Landing::view);
  constexpr u64 status = rflags::kStatus;
  Crossing crossing;
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
      if ((cpu_.sys.sfmask & status) != status) return;
      crossing = Crossing::SystemCall;
      break;
    case ZYDIS_MNEMONIC_SYSRET:
      crossing = Crossing::SystemReturn;
      break;
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
      if (!(cpu_.sys.cr4 & cr4::SMAP)) return;
      crossing = mnemonic == ZYDIS_MNEMONIC_STAC ? Crossing::Stac : Crossing::Clac;
      break;
    default:
      return;
  }
  if (!cpu_.code64()) return;
  Landing& landing = context_.landings[static_cast<unsigned>(crossing)][from];
  landing = {.valid = 1,
             .flags_before = flags_before & ~status,
             .flags_after = cpu_.rflags & (crossing == Crossing::SystemCall ? ~u64{0} : ~status),
             .target = cpu_.rip,
             .jumps = reinterpret_cast<u64>(context_.jumps[context_.mode]),
             .stack = reinterpret_cast<u64>(&context_.stack_pointers[context_.mode]),
             .code = {},
             .stack_segment = {},
             .cpl = cpu_.cpl,
             .mode = context_.mode,
             .view = cpu_.view};
  std::memcpy(landing.code, &cpu_.sys.segment[CS], sizeof(Segment));
  std::memcpy(landing.stack_segment, &cpu_.sys.segment[SS], sizeof(Segment));
}

void Translator::forget_crossings() {
  for (auto& modes : context_.landings) {
    for (Landing& landing : modes) landing.valid = 0;
  }
}

u64 Translator::overflowed_stack(u64 address) const {
  const u64 offset = address - reinterpret_cast<u64>(stacks_.data());
  if (offset >= stacks_.size() || offset % kStackBytes >= kPageSize) return 0;
  return reinterpret_cast<u64>(stacks_.data()) + (offset / kStackBytes + 1) * kStackBytes - 64;
}

const u8* Translator::take_fault(const u8* at) {
  if (!cache_.contains(at)) return nullptr;
  const Block* block = cache_.block_at(at);
  if (block == nullptr) return nullptr;
  const auto offset = static_cast<u32>(at - block->code);
  const Boundary* found = nullptr;
  for (const Boundary& boundary : block->boundaries) {
    if (boundary.host <= offset) found = &boundary;
  }
  if (found == nullptr) return nullptr;
  cpu_.rip = block->rip + found->guest;
  return cache_.thunks().fault;
}

// --- Requests of other threads

void Translator::page_becomes_code(u64 page) {
  u64 mine;
  {
    const std::lock_guard lock(request_mutex_);
    pages_to_guard_.insert(page);
    mine = asked_++;
    requests_.store(true, std::memory_order_seq_cst);
  }
  cpu_.attention.store(true, std::memory_order_seq_cst);
  for (unsigned spins = 0; in_code_.load(std::memory_order_seq_cst) && served_.load(std::memory_order_acquire) <= mine;
       ++spins) {
    if (spins < 1000) {
      __builtin_ia32_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void Translator::code_changed(u64 page) {
  {
    const std::lock_guard lock(request_mutex_);
    pages_to_check_.insert(page);
    requests_.store(true, std::memory_order_seq_cst);
  }
  cpu_.attention.store(true, std::memory_order_release);
}

void Translator::code_unwanted(u64 page) {
  {
    const std::lock_guard lock(request_mutex_);
    pages_to_drop_.insert(page);
    requests_.store(true, std::memory_order_seq_cst);
  }
  cpu_.attention.store(true, std::memory_order_release);
}

void Translator::serve_requests() {
  std::unordered_set<u64> guard, check, unwanted;
  u64 asked;
  {
    const std::lock_guard lock(request_mutex_);
    guard.swap(pages_to_guard_);
    check.swap(pages_to_check_);
    unwanted.swap(pages_to_drop_);
    asked = asked_;
    requests_.store(false, std::memory_order_relaxed);
  }
  for (const u64 page : guard) translations_.drop_writes(page);
  for (const u64 page : check) cache_.check_page(page);
  for (const u64 page : unwanted) cache_.drop_page(page);
  served_.store(asked, std::memory_order_release);
}

bool Translator::begin_code() {
  in_code_.store(true, std::memory_order_seq_cst);
  if (!requests_.load(std::memory_order_seq_cst)) return true;
  end_code();
  serve_requests();
  return false;
}

}  // namespace vireo::cpu::translate
