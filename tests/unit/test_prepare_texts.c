/* Texts, and what is the same for all formats: archives that lie, progress, and what nobody can read. */
#include "test_prepare.h"

static void a_text_is_checked_and_its_line_ends_unified(void **state)
{
	(void)state;
	write_text("a.txt", "\xef\xbb\xbfO n\xc3\xa9"
			    "e\r\nO\rn");
	write_text("b.txt", "more");
	prepared_well(prepare("{\"type\":\"text\"}", "a.txt", "b.txt", NULL));
	assert_memory_equal(column("train.text", 15),
		"O n\xc3\xa9"
		"e\nO\rn\nmore",
		15);
	assert_info("/kind", "\"text\"");
	assert_info("/bytes", "15");
	assert_info("/parts/train/samples", "14");
	assert_info("/words", "4"); /* o, née, n, more */
	assert_info("/characters", "10");
	write_text("a.txt", "caf\xe9 au lait");
	refused_for(prepare("{\"type\":\"text\"}", "a.txt", NULL), "", "a.txt: byte 3 (e9)");
	refused_for(prepare("{\"type\":\"text\",\"test\":0.1}", "b.txt", NULL), "/format/test", "split");
}

static void a_long_text_without_blanks_is_cut_at_characters(void **state)
{
	size_t n = 3 << 20;
	char *text = mem_alloc(n + 1);

	(void)state;
	for (size_t i = 0; i + 2 < n; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	text[0] = text[1] = text[2] = 'x'; /* characters lie across the edges of all reads */
	write_file("a.txt", text, n);
	prepared_well(prepare("{\"type\":\"text\"}", "a.txt", NULL));
	assert_memory_equal(column("train.text", n), text, n);
	mem_free(text);
}

/* N bytes of a sample's text are shown, and no character is cut. */
static void assert_shown(const char *path, size_t n)
{
	const char *text = cJSON_GetStringValue(json_at(summary, path));

	assert_non_null(text);
	assert_int_equal(strlen(text), n);
	assert_true(utf8_valid(text, n));
}

static void a_summary_shows_the_beginning_of_a_text_in_whole_characters(void **state)
{
	char text[1000] = "text,label\nx", *at = text + strlen(text);

	(void)state;
	for (; at < text + 800; at += 3)
		memcpy(at, "\xe2\x82\xac", 3);
	memcpy(at, ",a\nshort,b\n", 12);
	write_text("t.csv", text);
	prepared_well(prepare("{\"type\":\"labelled_text\"}", "t.csv", NULL));
	assert_shown("/samples/0/text", 298); /* of 300 bytes the last two begin a character */
	assert_shown("/samples/1/text", 5);
	write_text("a.txt", text + strlen("text,label\n"));
	prepared_well(prepare("{\"type\":\"text\"}", "a.txt", NULL));
	assert_shown("/samples/0/text", 298);
	write_text("t.txt", "two A\nwords B\n\n");
	prepared_well(prepare("{\"type\":\"tagged_text\"}", "t.txt", NULL));
	assert_string_equal(cJSON_GetStringValue(json_at(summary, "/samples/0/text")), "two words");
}

static void labelled_texts_are_found_by_their_looks(void **state)
{
	(void)state;
	write_text("t.csv", "3,\"Stocks fall, and fall, and fall again today\"\n1,\"A sentence about \"\"peace\"\" in "
			    "the world\"\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/format", "\"labelled_text\"");
	assert_info("/classes", "[\"1\",\"3\"]");
	assert_column("train.labels", int32_t, 1, 0);
	assert_column("train.offsets", int64_t, 0, 43, 80);
	assert_memory_equal((const char *)column("train.text", 80) + 43, "A sentence about \"peace\" in the world", 37);
	assert_info("/longest/words", "10");
	assert_true(noted("texts from column \"2\", labels from column \"1\""));
	write_text("t.csv", "id,review,sentiment\n1,bad film,neg\n2,good film,pos\n");
	prepared_well(prepare("{\"type\":\"labelled_text\"}", "t.csv", NULL));
	assert_info("/classes", "[\"neg\",\"pos\"]");
	prepared_well(
		prepare("{\"type\":\"labelled_text\",\"label_column\":\"id\",\"text_column\":\"3\"}", "t.csv", NULL));
	assert_info("/classes", "[\"1\",\"2\"]");
	refused_for(prepare("{\"type\":\"labelled_text\",\"text_column\":\"reviews\"}", "t.csv", NULL),
		"/format/text_column", "reviews");
	write_text("t.csv", "text,label\nhello,\n");
	refused_for(prepare("{\"type\":\"labelled_text\"}", "t.csv", NULL), "", "t.csv, line 2: the label is empty");
	write_text("t.csv", "text,label\nh\xff,x\n");
	refused_for(prepare("{\"type\":\"labelled_text\"}", "t.csv", NULL), "", "t.csv, line 2: the text is not UTF-8");
}

/* SHAPE: # a number of its own in each row, k one of three words, n one of three numbers, t a text. */
static void assert_read_as(const char *shape, const char *type)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 100; i++)
		for (const char *c = shape; *c; c++) {
			const char *form = *c == 'k'   ? "word-%d"
					   : *c == 't' ? "text number %d of some more words"
						       : "%d";

			buf_printf(&b, form, *c == 'k' || *c == 'n' ? i % 3 : i);
			buf_puts(&b, c[1] ? "," : "\n");
		}
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/format", type);
	buf_release(&b);
}

static void texts_among_other_columns_are_a_table(void **state)
{
	(void)state;
	assert_read_as("kt", "\"labelled_text\"");
	assert_read_as("tn", "\"labelled_text\"");
	assert_read_as("#tk", "\"labelled_text\""); /* the rows are numbered */
	assert_read_as("ktt", "\"labelled_text\"");
	assert_read_as("#t", "\"table\""); /* a number of its own for each text is no label */
	assert_read_as("#kt#", "\"table\"");
	assert_read_as("kt#", "\"table\"");
	assert_read_as("kkt", "\"table\"");
}

static void tagged_words_become_sentences(void **state)
{
	(void)state;
	write_text(
		"ner.conll", "-DOCSTART- -X- O\r\n\r\nEU NNP B-ORG\r\nrejects VBZ O\r\n\r\n\r\nNew York\tNNP\tB-LOC\n");
	prepared_well(prepare("{\"type\":\"tagged_text\"}", "ner.conll", NULL));
	assert_info("/classes", "[\"B-LOC\",\"B-ORG\",\"O\"]");
	assert_info("/parts/train/samples", "2");
	assert_column("train.tags", int32_t, 1, 2, 0);
	assert_column("train.tag_offsets", int64_t, 0, 2, 3);
	assert_column("train.offsets", int64_t, 0, 10, 18);
	assert_memory_equal(column("train.text", 18), "EU\nrejectsNew York", 18);
	write_text("ner.conll", "EU B\nalone\n");
	refused_for(prepare("{\"type\":\"tagged_text\"}", "ner.conll", NULL), "",
		"ner.conll, line 2: expected a word and its tag");
}

/* ---- Archives that lie ------------------------------------------------------------------------------------------- */

static void archive_refused(const struct member *members, int n, const char *says)
{
	write_archive("a.tar.gz", "tar.gz", members, n);
	refused_for(prepare("{}", "a.tar.gz", NULL), "", says);
	write_archive("a.zip", "zip", members, n);
	refused_for(prepare("{}", "a.zip", NULL), "", says);
}

static void names_may_not_leave_an_archive(void **state)
{
	struct buf a = png_of(1, 1, 1, 1);

	(void)state;
	archive_refused(&(struct member){ "../c/1.png", a.data, a.len, NULL }, 1, "outside of the archive");
	archive_refused(&(struct member){ "c/../../1.png", a.data, a.len, NULL }, 1, "outside of the archive");
	archive_refused(&(struct member){ "/c/1.png", a.data, a.len, NULL }, 1, "outside of the archive");
	buf_release(&a);
}

static void links_in_an_archive_are_passed_over(void **state)
{
	struct buf a = png_of(1, 1, 1, 1);
	const struct member members[] = { { "c/0.png", NULL, 0, "/etc/passwd" }, { "c/1.png", a.data, a.len, NULL },
		{ "./c/./2.png", a.data, a.len, NULL } };

	(void)state;
	write_archive("a.tar", "tar", members, 3);
	prepared_well(prepare("{}", "a.tar", NULL));
	assert_info("/parts/train/samples", "2");
	assert_true(noted("1 link"));
	buf_release(&a);
}

static void every_cut_archive_is_refused(void **state)
{
	struct buf a = png_of(3, 40, 40, 1);
	const struct member members[] = { { "c/1.png", a.data, a.len, NULL }, { "d/2.png", a.data, a.len, NULL } };
	struct stat st;

	(void)state;
	write_archive("a.tar.gz", "tar.gz", members, 2);
	stat(path_of("a.tar.gz"), &st);
	for (long n = 18; n < st.st_size - 20; n += 7) {
		write_archive("a.tar.gz", "tar.gz", members, 2);
		assert_int_equal(truncate(path_of("a.tar.gz"), n), 0);
		if (prepare("{}", "a.tar.gz", NULL))
			fail_msg("%ld of %ld bytes were taken for the whole archive", n, (long)st.st_size);
	}
	buf_release(&a);
}

static void what_unpacks_beyond_all_measure_is_refused(void **state)
{
	struct archive *z = archive_write_new();
	struct archive_entry *e = archive_entry_new();

	(void)state;
	archive_write_set_format_pax_restricted(z);
	archive_write_add_filter_gzip(z);
	assert_int_equal(archive_write_open_filename(z, path_of("bomb.tar.gz")), ARCHIVE_OK);
	archive_entry_set_pathname(e, "c/1.png");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_size(e, (int64_t)2 << 30); /* it says so; nobody reads that far */
	archive_write_header(z, e);
	archive_write_data(z, "1", 1);
	archive_write_free(z);
	archive_entry_free(e);
	refused_for(prepare("{}", "bomb.tar.gz", NULL), "", "looks like a trap");
}

static void other_kinds_of_files_are_named(void **state)
{
	(void)state;
	write_text("a.7z", "7z\xbc\xaf\x27\x1c and more");
	refused_for(prepare("{}", "a.7z", NULL), "", "7-Zip");
	write_file("a.bin",
		"\x7f"
		"ELF\0\0\0",
		8);
	refused_for(prepare("{}", "a.bin", NULL), "", "say the \"type\"");
	refused_for(prepare("{}", "absent.csv", NULL), "", "absent.csv: No such file");
	refused_for(prepare("{\"typ\":\"csv\"}", "a.bin", NULL), "/format/typ", "did you mean \"type\"");
	refused_for(prepare("{\"type\":\"imagefolder\"}", "a.bin", NULL), "/format/type", "image_folder");
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

static int64_t last_done, last_total;

static void on_progress(void *of, int64_t done, int64_t total)
{
	(void)of;
	assert_true(done >= last_done && done <= total);
	last_done = done;
	last_total = total;
}

static void progress_counts_bytes_of_input(void **state)
{
	const struct prepare_file file = { "t.csv", path_of("t.csv") };
	struct prepare_order order = {
		.dataset = "d", .files = &file, .n_files = 1, .folder = path_of("pack"), .progress = on_progress
	};

	(void)state;
	write_text("t.csv", "a,b\n1,2\n");
	forget();
	file_remove_tree(order.folder, NULL);
	mkdir(order.folder, 0700);
	prepared_well((prepare_run(&order, &got, &faults), summary = cJSON_CreateObject(), true));
	assert_int_equal(last_total, 16); /* hashed, then read */
	assert_true(last_done > 0);
}

static void add_a_row(void *of, int64_t done, int64_t total)
{
	FILE *f = fopen(of, "a");

	(void)done;
	(void)total;
	fputs("3,4\n", f);
	fclose(f);
}

static void a_file_that_changes_under_the_reading_is_refused(void **state)
{
	const struct prepare_file file = { "t.csv", path_of("t.csv") };
	struct prepare_order order = { .dataset = "d",
		.files = &file,
		.n_files = 1,
		.folder = path_of("pack"),
		.progress = add_a_row,
		.of = (void *)file.path };

	(void)state;
	write_text("t.csv", "a,b\n1,2\n");
	forget();
	file_remove_tree(order.folder, NULL);
	mkdir(order.folder, 0700);
	refused_for(prepare_run(&order, &got, &faults), "", "t.csv was changed while it was read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_checked_and_its_line_ends_unified),
		cmocka_unit_test(a_long_text_without_blanks_is_cut_at_characters),
		cmocka_unit_test(a_summary_shows_the_beginning_of_a_text_in_whole_characters),
		cmocka_unit_test(labelled_texts_are_found_by_their_looks),
		cmocka_unit_test(texts_among_other_columns_are_a_table),
		cmocka_unit_test(tagged_words_become_sentences),
		cmocka_unit_test(names_may_not_leave_an_archive),
		cmocka_unit_test(links_in_an_archive_are_passed_over),
		cmocka_unit_test(every_cut_archive_is_refused),
		cmocka_unit_test(what_unpacks_beyond_all_measure_is_refused),
		cmocka_unit_test(other_kinds_of_files_are_named),
		cmocka_unit_test(progress_counts_bytes_of_input),
		cmocka_unit_test(a_file_that_changes_under_the_reading_is_refused),
	};

	return cmocka_run_group_tests(tests, make_room, remove_room);
}
