// Hardware task switches. The order follows SDM 3A 7.3: everything that can fault in the old task (reads of the new
// TSS, writes of the old one, busy bits) comes first; then registers are loaded; then segments are checked as the new
// task.
#include "cpu/interp/task.h"

#include "cpu/interp/system.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Where a TSS keeps its fields (SDM 3A figures 7-2 and 7-10).
struct Layout {
  unsigned size;  ///< smallest limit + 1
  unsigned word;  ///< size of a register field
  unsigned ip, flags, gpr, segments, segment_stride, ldt;
};
constexpr Layout kTss32{.size = 0x68,
                        .word = 4,
                        .ip = 0x20,
                        .flags = 0x24,
                        .gpr = 0x28,
                        .segments = 0x48,
                        .segment_stride = 4,
                        .ldt = 0x60};
constexpr Layout kTss16{.size = 0x2C,
                        .word = 2,
                        .ip = 0x0E,
                        .flags = 0x10,
                        .gpr = 0x12,
                        .segments = 0x22,
                        .segment_stride = 2,
                        .ldt = 0x2A};
constexpr unsigned kCr3Offset = 0x1C, kTrapOffset = 0x64;

const Layout& layout_of(unsigned type) { return is_wide_tss(type) ? kTss32 : kTss16; }
/// ES CS SS DS, and FS GS in a 32-bit TSS: encoding order.
unsigned segments_in(const Layout& layout) { return layout.word == 4 ? 6 : 4; }

struct Image {
  u64 cr3 = 0, ip = 0, flags = 0;
  u64 gpr[8] = {};
  u16 segment[6] = {};
  u16 ldt = 0;
  bool trap = false;
};

void save(Cpu& cpu, u64 ip, u64 flags) {
  const Segment& tr = cpu.sys.segment[TR];
  const Layout& at = layout_of(tr.type());
  cpu.write_system(tr.base + at.ip, at.word, ip);
  cpu.write_system(tr.base + at.flags, at.word, flags);
  for (unsigned i = 0; i < 8; ++i) cpu.write_system(tr.base + at.gpr + i * at.word, at.word, cpu.r[i]);
  for (unsigned i = 0; i < segments_in(at); ++i)
    cpu.write_system(tr.base + at.segments + i * at.segment_stride, 2, cpu.sys.segment[i].selector);
}

Image read_image(Cpu& cpu, u64 base, const Layout& at) {
  Image image;
  image.ip = cpu.read_system(base + at.ip, at.word);
  image.flags = cpu.read_system(base + at.flags, at.word);
  for (unsigned i = 0; i < 8; ++i) image.gpr[i] = cpu.read_system(base + at.gpr + i * at.word, at.word);
  for (unsigned i = 0; i < segments_in(at); ++i)
    image.segment[i] = static_cast<u16>(cpu.read_system(base + at.segments + i * at.segment_stride, 2));
  image.ldt = static_cast<u16>(cpu.read_system(base + at.ldt, 2));
  if (at.word == 4) {
    image.cr3 = cpu.read_system(base + kCr3Offset, 4);
    image.trap = cpu.read_system(base + kTrapOffset, 1) & 1;
  }
  return image;
}

void set_busy(Cpu& cpu, u64 descriptor_address, bool busy) {
  const u64 type = cpu.read_system(descriptor_address + 5, 1);
  cpu.write_system(descriptor_address + 5, 1, busy ? type | descriptor::kBusy : type & ~u64{descriptor::kBusy});
}

Segment check_ldt(Cpu& cpu, u16 selector, u32 ext) {
  if (is_null(selector)) return null_segment(selector);
  const auto found = selector & 4 ? std::nullopt : find_descriptor(cpu, selector);
  if (!found || found->s() || found->type() != descriptor::kLdt || !found->present())
    cpu.raise(Vector::TS, selector_error(selector, ext));
  return make_segment(selector, *found);
}

Segment check_code(Cpu& cpu, u16 selector, u32 ext) {
  if (is_null(selector)) cpu.raise(Vector::TS, ext);
  auto descriptor = fetch_descriptor(cpu, selector, Vector::TS, ext);
  const unsigned rpl = rpl_of(selector);
  if (!descriptor.is_code() || (descriptor.is_conforming() ? descriptor.dpl() > rpl : descriptor.dpl() != rpl))
    cpu.raise(Vector::TS, selector_error(selector, ext));
  if (!descriptor.present()) cpu.raise(Vector::NP, selector_error(selector, ext));
  mark_accessed(cpu, descriptor);
  return make_segment(selector, descriptor);
}

Segment check_data(Cpu& cpu, u16 selector, unsigned cpl, u32 ext) {
  if (is_null(selector)) return null_segment(selector);
  auto descriptor = fetch_descriptor(cpu, selector, Vector::TS, ext);
  const bool conforming = descriptor.is_code() && descriptor.is_conforming();
  if (!descriptor.is_readable() || (!conforming && (rpl_of(selector) > descriptor.dpl() || cpl > descriptor.dpl())))
    cpu.raise(Vector::TS, selector_error(selector, ext));
  if (!descriptor.present()) cpu.raise(Vector::NP, selector_error(selector, ext));
  mark_accessed(cpu, descriptor);
  return make_segment(selector, descriptor);
}

/// Segments one by one: until a register is loaded it holds its selector and is unusable.
void load_segments(Cpu& cpu, const Image& image, u32 ext) {
  auto& segment = cpu.sys.segment;
  if (cpu.v86()) {
    for (unsigned i = 0; i < kSegmentRegisters; ++i) segment[i] = v86_segment(image.segment[i]);
    cpu.update_mode();
    segment[LDTR] = check_ldt(cpu, image.ldt, ext);
    return;
  }
  const unsigned cpl = rpl_of(image.segment[CS]);
  for (unsigned i = 0; i < kSegmentRegisters; ++i) segment[i] = null_segment(image.segment[i], i == SS ? cpl : 0);
  segment[LDTR] = null_segment(image.ldt);
  cpu.update_mode();
  segment[LDTR] = check_ldt(cpu, image.ldt, ext);
  segment[CS] = check_code(cpu, image.segment[CS], ext);
  segment[SS] = check_stack_segment(cpu, image.segment[SS], cpl, Vector::TS, ext);
  for (const Seg seg : {ES, DS, FS, GS}) segment[seg] = check_data(cpu, image.segment[seg], cpl, ext);
  cpu.update_mode();
}

}  // namespace

Descriptor fetch_task_of_gate(Cpu& cpu, const Descriptor& gate, u32 ext) {
  const u16 selector = gate.gate_selector();
  if (selector & 4) cpu.raise(Vector::GP, selector_error(selector, ext));
  const auto tss = fetch_descriptor(cpu, selector, Vector::GP, ext);
  if (tss.s() || (tss.type() != descriptor::kTss16 && tss.type() != descriptor::kTss32))
    cpu.raise(Vector::GP, selector_error(selector, ext));
  if (!tss.present()) cpu.raise(Vector::NP, selector_error(selector, ext));
  return tss;
}

void switch_task(Cpu& cpu, u16 selector, const Descriptor& tss, TaskSwitch kind, u64 old_rip, u64 old_flags, u32 ext) {
  auto& sys = cpu.sys;
  const Layout& layout = layout_of(tss.type());
  const bool nested = kind == TaskSwitch::Call || kind == TaskSwitch::Interrupt;
  const Segment old_tr = sys.segment[TR];
  if (tss.limit() + u64{1} < layout.size) cpu.raise(Vector::TS, selector_error(selector, ext));
  if (old_tr.limit + u64{1} < layout_of(old_tr.type()).size)
    cpu.raise(Vector::TS, selector_error(old_tr.selector, ext));

  if (kind == TaskSwitch::Return) old_flags &= ~rflags::NT;
  save(cpu, old_rip, old_flags);
  if (nested) cpu.write_system(tss.base(), 2, old_tr.selector);
  Image image = read_image(cpu, tss.base(), layout);
  if (kind != TaskSwitch::Return) set_busy(cpu, tss.address, true);
  if (!nested && find_descriptor(cpu, old_tr.selector))
    set_busy(cpu, sys.gdtr.base + (old_tr.selector & 0xFFF8u), false);

  // Commit: from here on the new task runs, and faults are its own.
  sys.segment[TR] = make_segment(selector, tss);
  sys.segment[TR].attributes |= descriptor::kBusy;
  sys.cr0 |= cr0::TS;
  if (nested) image.flags |= rflags::NT;
  cpu.rflags = (image.flags & rflags::kDefined) | rflags::Fixed1;
  if (layout.word == 2) cpu.rflags &= 0xFFFF;
  for (unsigned i = 0; i < 8; ++i) cpu.r[i] = image.gpr[i];
  cpu.rip = cpu.next_rip = image.ip;
  sys.dr7 &= ~u64{0x155};  // local enables L0..L3, LE
  if (image.trap) cpu.debug_pending |= dr6::BT;
  if (layout.word == 4 && (sys.cr0 & cr0::PG)) load_cr3(cpu, image.cr3);
  load_segments(cpu, image, ext);
  if (image.ip > sys.segment[CS].limit) cpu.raise(Vector::GP, ext);
  cpu.recheck_interrupts();
}

void return_from_task(Cpu& cpu) {
  const Segment& tr = cpu.sys.segment[TR];
  const u16 link = static_cast<u16>(cpu.read_system(tr.base, 2));
  if (link & 4) cpu.raise(Vector::TS, selector_error(link));
  const auto tss = fetch_descriptor(cpu, link, Vector::TS);
  if (tss.s() || (tss.type() != descriptor::kBusyTss16 && tss.type() != descriptor::kBusyTss32))
    cpu.raise(Vector::TS, selector_error(link));
  if (!tss.present()) cpu.raise(Vector::NP, selector_error(link));
  cpu.event.nmi_blocked = false;
  switch_task(cpu, link, tss, TaskSwitch::Return, cpu.next_rip, cpu.rflags, 0);
}

}  // namespace vireo::cpu::interp
