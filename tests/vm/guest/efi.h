/* The little of the UEFI specification (2.10) that the programs here need; clauses are named where a structure begins. */
#ifndef EFI_H
#define EFI_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u64 status;
typedef void *handle;
typedef struct { u32 a; u16 b, c; u8 d[8]; } guid;

typedef struct { u64 signature; u32 revision, size, crc, reserved; } header; /* 4.2 */

typedef struct { /* 8 */
    header head;
    void *get_time, *set_time, *get_wakeup, *set_wakeup, *set_map, *convert;
    status (*get_variable)(const u16 *, const guid *, u32 *attributes, u64 *size, void *);
    void *next_variable;
    status (*set_variable)(const u16 *, const guid *, u32 attributes, u64 size, const void *);
    void *next_count;
    void (*reset)(u32 kind, status, u64, void *);
} runtime_services;

typedef struct { /* 4.4 */
    header head;
    void *raise, *restore, *allocate_pages, *free_pages, *memory_map;
    status (*allocate)(u32 kind, u64 size, void **);
    status (*free)(void *);
    void *event[6];
    void *install, *reinstall, *uninstall;
    status (*protocol)(handle, const guid *, void **);
    void *reserved, *notify, *locate_handle, *locate_path, *install_table;
    status (*load)(u8 boot, handle parent, void *path, void *source, u64 size, handle *);
    status (*start)(handle, u64 *size, u16 **data);
    status (*exit)(handle, status, u64, u16 *);
    status (*unload)(handle);
} boot_services;

typedef struct { /* 4.3 */
    header head;
    u16 *vendor;
    u32 revision;
    handle input_handle;
    void *input;
    handle output_handle;
    void *output;
    handle error_handle;
    void *error;
    runtime_services *runtime;
    boot_services *boot;
} system_table;

typedef struct { /* 9.1 */
    u32 revision;
    handle parent;
    system_table *system;
    handle device;
    void *path, *reserved;
    u32 options_size;
    void *options;
} loaded_image;

typedef struct file { /* 13.5 */
    u64 revision;
    status (*open)(struct file *, struct file **, const u16 *, u64 mode, u64 attributes);
    status (*close)(struct file *);
    void *remove;
    status (*read)(struct file *, u64 *, void *);
} file;

typedef struct volume { /* 13.4 */
    u64 revision;
    status (*open)(struct volume *, file **);
} volume;

void print(const char *);
void power_off(system_table *);

#endif
