// SPDX-License-Identifier: GPL-2.0
// mkwtoy: a toy filesystem whose dirty pages need a record, as those of NFS need a write request.
//
// A file's content lives in a "server", an array of pages in memory. A page of the page cache may have a record
// (page->private). Writeback sends a page to the server if it has a record, and then drops the record; a dirty page
// without a record has nothing to send: its data is lost. So a fault that marks the page dirty after somebody else has
// written it back, record and all, loses its store. That is the race that the locked return of page_mkwrite closes.
//
// Mount options: `legacy`: page_mkwrite unlocks the page and returns 0, as NFS did up to 2.6.29; without it, it returns
// VM_FAULT_LOCKED with the page locked, as since 2.6.30. And defects, each of which loses data in some schedule:
//   no_record   page_mkwrite makes no record
//   early_end   writeback ends before the page is sent and its record dropped
//   no_check    page_mkwrite does not look whether the page is still in the file
//   no_wait     page_mkwrite does not wait for writeback
//
// Each step that the harness names is a function of its own, not inlined, so that a thread can be stopped there. Left
// out: blocks, errors, several directories, rename, links.
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/writeback.h>

#define TOY_MAGIC 0x6d6b7774
#define SERVER_PAGES 64

enum { LEGACY, NO_RECORD, EARLY_END, NO_CHECK, NO_WAIT };

struct toy_super { unsigned long options; };
struct toy_file { struct page *server[SERVER_PAGES]; };

static bool has(struct inode *inode, int option)
{
	struct toy_super *super = inode->i_sb->s_fs_info;

	return super->options & BIT(option);
}

static struct toy_file *toy(struct inode *inode)
{
	return inode->i_private;
}

/* ---- the record */

static noinline void toy_record_make(struct folio *folio)
{
	if (!folio_test_private(folio))
		folio_attach_private(folio, (void *)1UL);
}

static noinline void toy_record_drop(struct folio *folio)
{
	if (folio_test_private(folio))
		folio_detach_private(folio);
}

/* ---- the server */

static noinline void toy_receive(struct inode *inode, struct folio *folio)
{
	struct page *stored = folio->index < SERVER_PAGES ? toy(inode)->server[folio->index] : NULL;

	if (stored)
		copy_highpage(folio_page(folio, 0), stored);
	else
		clear_highpage(folio_page(folio, 0));
	flush_dcache_folio(folio);
}

static noinline int toy_send(struct inode *inode, struct folio *folio)
{
	struct page **stored = &toy(inode)->server[folio->index];

	if (!*stored)
		*stored = alloc_page(GFP_NOFS | __GFP_ZERO);
	if (!*stored)
		return -ENOMEM;
	copy_highpage(*stored, folio_page(folio, 0));
	return 0;
}

static void toy_server_truncate(struct inode *inode, loff_t size)
{
	unsigned long first = DIV_ROUND_UP(size, PAGE_SIZE), last = size >> PAGE_SHIFT, i;
	struct page **server = toy(inode)->server;

	for (i = first; i < SERVER_PAGES; i++) {
		if (server[i])
			__free_page(server[i]);
		server[i] = NULL;
	}
	if (size & ~PAGE_MASK && last < SERVER_PAGES && server[last])
		memzero_page(server[last], size & ~PAGE_MASK, PAGE_SIZE - (size & ~PAGE_MASK));
}

/* Before the file grows: what was stored past its end is no content. */
static noinline void toy_zero_tail(struct inode *inode, loff_t end)
{
	struct folio *folio;

	if (!offset_in_page(end))
		return;
	folio = __filemap_get_folio(inode->i_mapping, end >> PAGE_SHIFT, FGP_LOCK, 0);
	if (IS_ERR_OR_NULL(folio))
		return;
	folio_wait_writeback(folio);
	folio_mkclean(folio);
	folio_zero_segment(folio, offset_in_folio(folio, end), PAGE_SIZE);
	/* What was stored below the end through a pte that was dirty alone. */
	toy_record_make(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
}

/* ---- writeback */

static noinline void toy_complete(struct folio *folio)
{
	toy_record_drop(folio);
	folio_end_writeback(folio);
}

static noinline int toy_writepage(struct folio *folio, struct writeback_control *wbc)
{
	struct inode *inode = folio->mapping->host;
	loff_t size = i_size_read(inode);
	int error;

	if (folio_pos(folio) < size && folio_pos(folio) + PAGE_SIZE > size)
		folio_zero_segment(folio, offset_in_folio(folio, size), PAGE_SIZE);
	folio_start_writeback(folio);
	folio_unlock(folio);
	if (!folio_test_private(folio) || folio_pos(folio) >= size) {
		folio_end_writeback(folio);
		return 0;
	}
	if (has(inode, EARLY_END)) {
		folio_end_writeback(folio);
		error = toy_send(inode, folio);
		toy_record_drop(folio);
		return error;
	}
	error = toy_send(inode, folio);
	toy_complete(folio);
	return error;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static int toy_write_one(struct page *page, struct writeback_control *wbc, void *unused)
{
	return toy_writepage(page_folio(page), wbc);
}
#else
static int toy_write_one(struct folio *folio, struct writeback_control *wbc, void *unused)
{
	return toy_writepage(folio, wbc);
}
#endif

static int toy_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	return write_cache_pages(mapping, wbc, toy_write_one, NULL);
}

/* ---- read(2), write(2) */

static int toy_read_folio(struct file *file, struct folio *folio)
{
	toy_receive(folio->mapping->host, folio);
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return 0;
}

static noinline int toy_prepare_write(struct address_space *mapping, loff_t pos, struct folio **found)
{
	int flags = FGP_LOCK | FGP_WRITE | FGP_CREAT;
	struct folio *folio;

	if (pos > i_size_read(mapping->host))
		toy_zero_tail(mapping->host, i_size_read(mapping->host));
	folio = __filemap_get_folio(mapping, pos >> PAGE_SHIFT, flags, mapping_gfp_mask(mapping));
	if (IS_ERR_OR_NULL(folio))
		return -ENOMEM;
	folio_wait_writeback(folio);
	if (!folio_test_uptodate(folio)) {
		toy_receive(mapping->host, folio);
		folio_mark_uptodate(folio);
	}
	*found = folio;
	return 0;
}

static noinline int toy_commit_write(struct address_space *mapping, struct folio *folio, loff_t pos, unsigned copied)
{
	struct inode *inode = mapping->host;

	toy_record_make(folio);
	folio_mark_dirty(folio);
	if (pos + copied > inode->i_size)
		i_size_write(inode, pos + copied);
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
static int toy_write_begin(struct file *file, struct address_space *mapping, loff_t pos, unsigned len,
			   struct page **page, void **unused)
{
	struct folio *folio;
	int error = toy_prepare_write(mapping, pos, &folio);

	if (!error)
		*page = folio_page(folio, 0);
	return error;
}

static int toy_write_end(struct file *file, struct address_space *mapping, loff_t pos, unsigned len, unsigned copied,
			 struct page *page, void *unused)
{
	return toy_commit_write(mapping, page_folio(page), pos, copied);
}
#else
static int toy_write_begin(struct file *file, struct address_space *mapping, loff_t pos, unsigned len,
			   struct folio **folio, void **unused)
{
	return toy_prepare_write(mapping, pos, folio);
}

static int toy_write_end(struct file *file, struct address_space *mapping, loff_t pos, unsigned len, unsigned copied,
			 struct folio *folio, void *unused)
{
	return toy_commit_write(mapping, folio, pos, copied);
}
#endif

static void toy_invalidate_folio(struct folio *folio, size_t offset, size_t length)
{
	if (offset == 0 && length == folio_size(folio))
		toy_record_drop(folio);
}

static bool toy_release_folio(struct folio *folio, gfp_t gfp)
{
	return !folio_test_private(folio);
}

static const struct address_space_operations toy_aops = {
	.read_folio = toy_read_folio,
	.writepages = toy_writepages,
	.write_begin = toy_write_begin,
	.write_end = toy_write_end,
	.dirty_folio = filemap_dirty_folio,
	.invalidate_folio = toy_invalidate_folio,
	.release_folio = toy_release_folio,
};

/* ---- the mapping */

static noinline vm_fault_t toy_mkwrite_return(struct folio *folio, bool legacy)
{
	if (!legacy)
		return VM_FAULT_LOCKED;
	folio_unlock(folio);
	return 0;
}

static noinline void toy_mkwrite_dirty(struct folio *folio)
{
	folio_mark_dirty(folio);
}

static noinline vm_fault_t toy_page_mkwrite(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t result = VM_FAULT_NOPAGE;
	bool gone;

	sb_start_pagefault(inode->i_sb);
	file_update_time(vmf->vma->vm_file);
	folio_lock(folio);
	gone = folio->mapping != inode->i_mapping || folio_pos(folio) >= i_size_read(inode);
	if (gone && !has(inode, NO_CHECK)) {
		folio_unlock(folio);
		goto out;
	}
	if (!has(inode, NO_WAIT))
		folio_wait_writeback(folio);
	if (!has(inode, NO_RECORD) && folio->mapping)
		toy_record_make(folio);
	toy_mkwrite_dirty(folio);
	result = toy_mkwrite_return(folio, has(inode, LEGACY));
out:
	sb_end_pagefault(inode->i_sb);
	return result;
}

static const struct vm_operations_struct toy_vm_ops = {
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = toy_page_mkwrite,
};

static int toy_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vma->vm_ops = &toy_vm_ops;
	return 0;
}

static noinline int toy_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return file_write_and_wait_range(file, start, end);
}

static const struct file_operations toy_fops = {
	.read_iter = generic_file_read_iter,
	.write_iter = generic_file_write_iter,
	.mmap = toy_mmap,
	.fsync = toy_fsync,
	.llseek = generic_file_llseek,
};

/* ---- inodes */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define toy_idmap user_namespace
#else
#define toy_idmap mnt_idmap
#endif

static int toy_setattr(struct toy_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int error = setattr_prepare(idmap, dentry, attr);

	if (error)
		return error;
	if (attr->ia_valid & ATTR_SIZE) {
		/* The server goes last, with faults kept out: a read in between would bring the old tail back. */
		filemap_invalidate_lock(inode->i_mapping);
		if (attr->ia_size > inode->i_size)
			toy_zero_tail(inode, inode->i_size);
		truncate_setsize(inode, attr->ia_size);
		toy_server_truncate(inode, attr->ia_size);
		filemap_invalidate_unlock(inode->i_mapping);
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

static const struct inode_operations toy_file_iops = { .setattr = toy_setattr, .getattr = simple_getattr };
static const struct inode_operations toy_dir_iops;

static struct inode *toy_inode(struct super_block *sb, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = mode;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
#else
	simple_inode_init_ts(inode);
#endif
	if (S_ISDIR(mode)) {
		inode->i_op = &toy_dir_iops;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
		return inode;
	}
	inode->i_private = kzalloc(sizeof(struct toy_file), GFP_KERNEL);
	if (!inode->i_private) {
		inode->i_mode = 0;
		iput(inode);
		return NULL;
	}
	inode->i_op = &toy_file_iops;
	inode->i_fop = &toy_fops;
	inode->i_mapping->a_ops = &toy_aops;
	return inode;
}

static int toy_create(struct toy_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
{
	struct inode *inode = toy_inode(dir->i_sb, (mode & S_IALLUGO) | S_IFREG);

	if (!inode)
		return -ENOSPC;
	d_instantiate(dentry, inode);
	dget(dentry);
	return 0;
}

static const struct inode_operations toy_dir_iops = {
	.create = toy_create,
	.lookup = simple_lookup,
	.unlink = simple_unlink,
};

static void toy_evict(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (S_ISREG(inode->i_mode)) {
		toy_server_truncate(inode, 0);
		kfree(inode->i_private);
	}
}

/* ---- the mount */

static const struct super_operations toy_sops = {
	.statfs = simple_statfs,
	.evict_inode = toy_evict,
	.drop_inode = generic_delete_inode,
};

static int toy_fill_super(struct super_block *sb, struct fs_context *fc)
{
	int error = super_setup_bdi(sb);

	if (error)
		return error;
	sb->s_maxbytes = SERVER_PAGES * PAGE_SIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = TOY_MAGIC;
	sb->s_op = &toy_sops;
	sb->s_root = d_make_root(toy_inode(sb, S_IFDIR | 0755));
	return sb->s_root ? 0 : -ENOMEM;
}

static int toy_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, toy_fill_super);
}

static const struct fs_parameter_spec toy_parameters[] = {
	fsparam_flag("legacy", LEGACY),
	fsparam_flag("no_record", NO_RECORD),
	fsparam_flag("early_end", EARLY_END),
	fsparam_flag("no_check", NO_CHECK),
	fsparam_flag("no_wait", NO_WAIT),
	{}
};

static int toy_parse(struct fs_context *fc, struct fs_parameter *parameter)
{
	struct fs_parse_result result;
	int option = fs_parse(fc, toy_parameters, parameter, &result);

	if (option < 0)
		return option;
	((struct toy_super *)fc->s_fs_info)->options |= BIT(option);
	return 0;
}

static void toy_free_context(struct fs_context *fc)
{
	kfree(fc->s_fs_info);
}

static const struct fs_context_operations toy_context = {
	.parse_param = toy_parse,
	.get_tree = toy_get_tree,
	.free = toy_free_context,
};

static int toy_init_context(struct fs_context *fc)
{
	fc->s_fs_info = kzalloc(sizeof(struct toy_super), GFP_KERNEL);
	fc->ops = &toy_context;
	return fc->s_fs_info ? 0 : -ENOMEM;
}

static void toy_kill_super(struct super_block *sb)
{
	void *super = sb->s_fs_info;

	kill_litter_super(sb);
	kfree(super);
}

static struct file_system_type toy_type = {
	.owner = THIS_MODULE,
	.name = "mkwtoy",
	.init_fs_context = toy_init_context,
	.parameters = toy_parameters,
	.kill_sb = toy_kill_super,
};

static int __init toy_init(void)
{
	return register_filesystem(&toy_type);
}

static void __exit toy_exit(void)
{
	unregister_filesystem(&toy_type);
}
module_init(toy_init);
module_exit(toy_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("mkwrite: a toy filesystem with and without the race of page_mkwrite");
MODULE_ALIAS_FS("mkwtoy");
