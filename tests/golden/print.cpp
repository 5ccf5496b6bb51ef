#include "print.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

namespace vireo::golden {

using namespace cpu::translate;

namespace {

ZydisFormatterFunc default_mem = nullptr;

ZyanStatus append(ZydisFormatterBuffer* buffer, const std::string& text) {
  ZyanString* string;
  ZYAN_CHECK(ZydisFormatterBufferAppend(buffer, ZYDIS_TOKEN_SYMBOL));
  ZYAN_CHECK(ZydisFormatterBufferGetString(buffer, &string));
  ZyanStringView view;
  ZYAN_CHECK(ZyanStringViewInsideBufferEx(&view, text.data(), text.size()));
  return ZyanStringAppend(string, &view);
}

ZyanStatus print_address(const ZydisFormatter*, ZydisFormatterBuffer* buffer, ZydisFormatterContext* context) {
  ZyanU64 address;
  ZYAN_CHECK(ZydisCalcAbsoluteAddress(context->instruction, context->operand, context->runtime_address, &address));
  const auto* printer = static_cast<const Printer*>(context->user_data);
  return append(buffer, printer != nullptr ? printer->place(address) : fmt::format("{:#x}", address));
}

ZyanStatus format_mem(const ZydisFormatter* formatter, ZydisFormatterBuffer* buffer, ZydisFormatterContext* context) {
  const auto* printer = static_cast<const Printer*>(context->user_data);
  const auto& mem = context->operand->mem;
  if (printer == nullptr || mem.segment != ZYDIS_REGISTER_GS) return default_mem(formatter, buffer, context);
  std::string text = printer->field(static_cast<i32>(mem.disp.value));
  for (const auto reg : {mem.base, mem.index}) {
    if (reg != ZYDIS_REGISTER_NONE) text += fmt::format(" at {}", ZydisRegisterGetString(reg));
  }
  return append(buffer, "gs:[" + text + "]");
}

ZydisFormatter make_formatter() {
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
  ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
  ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
  const auto* mem = reinterpret_cast<const void*>(&format_mem);
  ZydisFormatterSetHook(&formatter, ZYDIS_FORMATTER_FUNC_FORMAT_OPERAND_MEM, &mem);
  default_mem = reinterpret_cast<ZydisFormatterFunc>(const_cast<void*>(mem));
  const auto* address = reinterpret_cast<const void*>(&print_address);
  ZydisFormatterSetHook(&formatter, ZYDIS_FORMATTER_FUNC_PRINT_ADDRESS_ABS, &address);
  return formatter;
}

struct Insn {
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

bool decode(const u8* bytes, u64 size, Insn& insn) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &insn.in, insn.operands));
}

std::string text_of(const Insn& insn, u64 address, const Printer* printer) {
  static const ZydisFormatter formatter = make_formatter();
  char text[256];
  const bool done =
      ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn.in, insn.operands, insn.in.operand_count_visible,
                                                   text, sizeof text, address, const_cast<Printer*>(printer)));
  return done ? text : "?";
}

}  // namespace

std::string print_guest(const u8* bytes, unsigned size, u64 rip, unsigned& length) {
  Insn insn;
  length = 1;
  if (!decode(bytes, size, insn)) return "?";
  length = insn.in.length;
  return text_of(insn, rip, nullptr);
}

Printer::Printer(const Block& block, const Layout& layout, const Thunks& thunks) : block_(block), layout_(layout) {
  const auto name = [this](const u8* at, const char* text) { names_[reinterpret_cast<u64>(at)] = text; };
  name(thunks.jump_miss, "jump_miss");
  for (const u8* miss : thunks.return_miss) name(miss, "return_miss");
  name(thunks.link, "link");
  name(thunks.load_vectors, "load_vectors");
  constexpr const char* kCalls[] = {"access", "helper", "call_link", "call_jump", "leave", "fault"};
  for (unsigned i = 0; i < static_cast<unsigned>(Call::kCount) && i < std::size(kCalls); ++i)
    name(thunks.call[i], kCalls[i]);
}

void Printer::find_labels(u32 begin, u32 end) {
  labels_.clear();
  Insn insn;
  for (u32 at = begin; at < end && decode(block_.code + at, end - at, insn); at += insn.in.length) {
    const auto& operand = insn.operands[0];
    if (insn.in.operand_count == 0 || operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative)
      continue;
    const i64 target = i64{at} + insn.in.length + operand.imm.value.s;
    if (target >= begin && target < end) labels_[static_cast<u32>(target)] = 0;
  }
  unsigned number = 0;
  for (auto& [offset, label] : labels_) label = ++number;
}

std::string Printer::place(u64 address) const {
  if (const auto found = names_.find(address); found != names_.end()) return found->second;
  const u64 offset = address - reinterpret_cast<u64>(block_.code);
  const auto label = offset < block_.code_size ? labels_.find(static_cast<u32>(offset)) : labels_.end();
  return label != labels_.end() ? fmt::format("{}", label->second) : "cold";
}

std::string Printer::field(i32 distance) const {
  constexpr const char* kRegisters[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  const i32 reg = distance - layout_.registers;
  if (reg >= 0 && reg < 16 * 8 && reg % 8 == 0) return fmt::format("guest {}", kRegisters[reg / 8]);
  for (unsigned i = 0; i < 6; ++i) {
    if (distance == layout_.segment_base[i]) return fmt::format("{}.base", kSegments[i]);
  }
  if (distance == layout_.rflags) return "rflags";
  if (distance == layout_.rflags + 1) return "rflags + 1";
  if (distance == layout_.attention) return "attention";
  const auto is = [&](const Mem& mem) { return mem.disp == distance; };
  if (is(layout_.at(&Context::flags_ax))) return "flags";
  if (is(layout_.at(&Context::target))) return "target";
  if (is(layout_.at(&Context::vectors_loaded))) return "vectors_loaded";
  const i32 spill = distance - layout_.at(&Context::spill).disp;
  if (spill >= 0 && spill < static_cast<i32>(sizeof(Context::spill))) return fmt::format("spill {}", spill / 8);
  for (u32 i = 0; i < 256; ++i) {
    if (is(layout_.slot(i, &Slot::base))) return fmt::format("slot {}.base", i);
    if (is(layout_.slot(i, &Slot::limit))) return fmt::format("slot {}.limit", i);
    if (is(layout_.slot(i, &Slot::delta))) return fmt::format("slot {}.delta", i);
    if (is(layout_.edge(i))) return fmt::format("edge {}", i);
  }
  for (unsigned view = 0; view < 3; ++view) {
    if (is(layout_.page(view, &PageEntry::read_page, T2))) return "page.read";
    if (is(layout_.page(view, &PageEntry::write_page, T2))) return "page.write";
    if (is(layout_.page(view, &PageEntry::delta, T2))) return "page.delta";
  }
  for (unsigned mode = 0; mode < kModes; ++mode) {
    if (is(layout_.jump(mode, T2))) return "jumps";
  }
  return fmt::format("{:#x}", distance);
}

std::string Printer::print(u32 begin, u32 end) {
  find_labels(begin, end);
  std::string all;
  auto boundary = block_.boundaries.begin();
  while (boundary != block_.boundaries.end() && boundary->host < begin) ++boundary;
  Insn insn;
  for (u32 at = begin; at < end && decode(block_.code + at, end - at, insn); at += insn.in.length) {
    for (; boundary != block_.boundaries.end() && boundary->host == at; ++boundary) {
      unsigned length;
      all += fmt::format("    ; {}\n", print_guest(block_.source.data() + boundary->guest,
                                                   static_cast<unsigned>(block_.source.size()) - boundary->guest,
                                                   block_.rip + boundary->guest, length));
    }
    const auto label = labels_.find(at);
    const std::string left = label != labels_.end() ? fmt::format("{}:", label->second) : "";
    all += fmt::format("{:<8}{}\n", left, text_of(insn, reinterpret_cast<u64>(block_.code + at), this));
  }
  return all;
}

}  // namespace vireo::golden
