/* Asks the firmware about many images in one boot: does the steps that stand in \steps on the volume it came from.
 *
 * A line is NAME, VERB and arguments, separated by tabs: "load FILE", "start FILE [OPTIONS]", "set VARIABLE FILE" (a signed
 * update of a variable of Secure Boot, appended), "replace VARIABLE FILE". Each is answered with "vm: rc NAME NUMBER WORD".
 */
#include "efi.h"

#define PAGE 8192
#define UPDATE_MAX (1 << 20)
#define APPEND 0x40
/* 8.2: non-volatile, for boot services and at run time, with time-based authentication */
#define AUTHENTICATED 0x27

/* What shim asks of all that it starts: a generation that can be revoked (SBAT.md of the shim project). */
__attribute__((used, section(".sbat"))) static const char sbat[] =
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    "chopmark-harness,1,chopmark,harness,1,none\n";

static const guid image_protocol = {0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const guid volume_protocol = {0x964e5b22, 0x6459, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const guid path_protocol = {0x09576e91, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const guid global = {0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}};
static const guid security = {0xd719b2cb, 0x3d3a, 0x4596, {0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}};

static const struct { status code; const char *word; } words[] = {
    {0, "ok"}, {1, "LOAD_ERROR"}, {2, "INVALID_PARAMETER"}, {3, "UNSUPPORTED"}, {8, "WRITE_PROTECTED"}, {9, "OUT_OF_RESOURCES"},
    {14, "NOT_FOUND"}, {15, "ACCESS_DENIED"}, {26, "SECURITY_VIOLATION"}, {27, "CRC_ERROR"},
};

static system_table *st;
static handle me;
static file *root;
static u8 *base_path;
static u64 base_length;
static u8 steps[PAGE * 2], path[PAGE], update[UPDATE_MAX];
static u16 wide[PAGE];

/* Compilers call these two by themselves. */
void *memcpy(void *to, const void *from, u64 length)
{
    for (u64 i = 0; i < length; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

void *memset(void *to, int value, u64 length)
{
    for (u64 i = 0; i < length; i++)
        ((u8 *)to)[i] = value;
    return to;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static u64 widen(const char *text)
{
    u64 length = 0;
    for (; text[length] && length < PAGE - 1; length++)
        wide[length] = (u8)text[length];
    wide[length] = 0;
    return (length + 1) * 2;
}

static void number(u64 value)
{
    char digits[24];
    int at = 23;
    digits[at] = 0;
    do
        digits[--at] = '0' + value % 10;
    while (value /= 10);
    print(digits + at);
}

static void answer(const char *name, status code)
{
    const char *word = "OTHER";
    code &= ~(1ull << 63);
    for (u64 i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].code == code)
            word = words[i].word;
    print("vm: rc "), print(name), print(" "), number(code), print(" "), print(word), print("\r\n");
}

static status slurp(const char *name, void *to, u64 *size)
{
    file *opened;
    widen(name);
    status code = root->open(root, &opened, wide, 1 /* read */, 0);
    if (code)
        return code;
    code = opened->read(opened, size, to);
    opened->close(opened);
    return code;
}

/* From a device path, as the boot manager does: the firmware itself reads the file and judges what it read. */
static status load(const char *name, handle *image)
{
    u64 length = widen(name), node = 4 + length;
    memcpy(path, base_path, base_length);
    u8 *at = path + base_length;
    at[0] = 4, at[1] = 4, at[2] = node & 255, at[3] = node >> 8; /* 10.3.5.4: a file's path on a medium */
    memcpy(at + 4, wide, length);
    memcpy(at + node, "\x7f\xff\x04\x00", 4);
    *image = 0;
    return st->boot->load(0, me, path, 0, 0, image);
}

static status start(const char *name, const char *options)
{
    handle image;
    loaded_image *loaded;
    status code = load(name, &image);
    if (code)
        return code;
    if (options && !st->boot->protocol(image, &image_protocol, (void **)&loaded)) {
        loaded->options_size = widen(options);
        loaded->options = wide;
    }
    return st->boot->start(image, 0, 0);
}

static status set(const char *variable, const char *name, u32 attributes)
{
    u64 size = sizeof update;
    status code = slurp(name, update, &size);
    if (code)
        return code;
    widen(variable);
    const guid *vendor = same(variable, "PK") || same(variable, "KEK") ? &global : &security;
    return st->runtime->set_variable(wide, vendor, attributes, size, update);
}

static void step(char *line)
{
    char *field[4] = {line, 0, 0, 0};
    int count = 1;
    for (char *at = line; *at; at++)
        if (*at == '\t' && count < 4)
            *at = 0, field[count++] = at + 1;
    if (count < 3)
        return;
    handle image = 0;
    status code = 3;
    print("vm: step "), print(field[0]), print("\r\n");
    if (same(field[1], "load"))
        code = load(field[2], &image);
    else if (same(field[1], "start"))
        code = start(field[2], field[3]);
    else if (same(field[1], "set") && field[3])
        code = set(field[2], field[3], AUTHENTICATED | APPEND);
    else if (same(field[1], "replace") && field[3])
        code = set(field[2], field[3], AUTHENTICATED);
    answer(field[0], code);
    if (image)
        st->boot->unload(image);
}

static status set_up(void)
{
    loaded_image *loaded;
    volume *from;
    status code = st->boot->protocol(me, &image_protocol, (void **)&loaded);
    if (code || (code = st->boot->protocol(loaded->device, &volume_protocol, (void **)&from)))
        return code;
    if ((code = st->boot->protocol(loaded->device, &path_protocol, (void **)&base_path)))
        return code;
    for (u8 *node = base_path; (node[0] & 0x7f) != 0x7f; node = base_path + base_length)
        base_length += node[2] | node[3] << 8;
    return from->open(from, &root);
}

status efi_main(handle self, system_table *system)
{
    st = system, me = self;
    u8 secure = 0;
    u64 one = 1, size = sizeof steps - 1;
    st->runtime->get_variable(u"SecureBoot", &global, 0, &one, &secure);
    print(secure ? "\r\nvm: begin firmware SecureBoot=1\r\n" : "\r\nvm: begin firmware SecureBoot=0\r\n");
    status code = set_up();
    if (!code)
        code = slurp("\\steps", steps, &size);
    if (code)
        answer("set-up", code);
    for (char *at = (char *)steps, *line = at; !code && *at; at++)
        if (*at == '\n')
            *at = 0, step(line), line = at + 1;
    print("vm: end\r\n");
    power_off(st);
    return 0;
}
