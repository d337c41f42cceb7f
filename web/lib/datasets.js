// What the pages about data sets know of them without asking: names, progress, and the job that a data set begins with.

import { number } from './smooth.js';

export const FORMATS = [
  ['auto', 'find out by itself'],
  ['image_folder', 'pictures in a folder for each class (zip, tar)'],
  ['image_csv', 'pictures and a CSV of paths and labels'],
  ['table', 'table (CSV)'],
  ['arrays', 'arrays (NPY, NPZ)'],
  ['text', 'one long text'],
  ['labelled_text', 'texts with labels (CSV)'],
  ['tagged_text', 'words with tags'],
  ['idx', 'IDX (as MNIST)'],
  ['cifar', 'CIFAR binary'],
];

/* What the files of a format look like. */
const LAYOUTS = {
  auto: 'Any of the formats below; archives (ZIP, TAR) and compressed files are looked into. Files with "test" in their names become the test part.',
  image_folder: 'An archive of CLASS/picture.jpg, one folder for each class; or train/CLASS/… and test/CLASS/… (valid/ counts as test).',
  image_csv: 'A CSV with a column of paths and one of labels, and the pictures: "7.png", or just 7, finds images/7.png.',
  table: 'A CSV, a row for each sample, with or without a line of names. The job says which column is the target.',
  arrays: 'An NPZ with x and y, or x_train, y_train, x_test, y_test; or NPY files of these names. The first axis counts the samples.',
  text: 'UTF-8 text; several files are read one after the other.',
  labelled_text: 'A CSV with a column of texts and one of labels: text,label. Other names of columns are told under "More options".',
  tagged_text: 'A line "word TAG" for each word, with spaces or tabs between, and a blank line between samples.',
  idx: 'Pairs of images and labels: train-images-idx3-ubyte and train-labels-idx1-ubyte, and the same with t10k; .gz is fine.',
  cifar: 'The archive "binary version", or its files data_batch_1.bin … and test_batch.bin; for CIFAR-100 train.bin and test.bin.',
};

export function layoutText(type) {
  return LAYOUTS[type] || '';
}

export const COLUMN_TYPES = ['number', 'category', 'text', 'ignored'];

/* What a data set of a kind is made of, for people. */
const KINDS = { images: 'pictures', arrays: 'arrays', table: 'table', text: 'text', labelled_text: 'texts with labels', tagged_text: 'tagged texts' };

export function kindText(kind) {
  return KINDS[kind] || kind || '';
}

const BUSY = ['fetching', 'preparing'];

export function isBusy(dataset) {
  return BUSY.includes(dataset.state);
}

/* How far it is, from 0 to 1; NaN while nobody can say. */
export function fractionOf(dataset) {
  const p = dataset.progress;
  if (dataset.state === 'ready') return 1;
  return p && p.total > 0 ? Math.min(1, p.done / p.total) : NaN;
}

/* A name for what comes from FROM, an address or a file: "https://x/Iris Data.csv.gz?a=1" is "iris-data". */
export function nameFrom(from) {
  const path = String(from || '').split(/[?#]/)[0].replace(/\/+$/, '');
  let last = path.slice(path.lastIndexOf('/') + 1);
  try {
    last = decodeURIComponent(last);
  } catch {
    // Not encoded as it should be: taken as it is.
  }
  const stem = last.replace(/(\.(tar|csv|tsv|txt|zip|gz|tgz|bz2|xz|npy|npz|bin|jsonl?|ubyte))+$/i, '');
  return stem
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[-._]+|[-._]+$/g, '')
    .slice(0, 64);
}

/* Rows {name, train, test, share} of the class balance: SHARE of the largest class. */
export function balance(classes) {
  const most = Math.max(1, ...classes.map((c) => (c.train || 0) + (c.test || 0)));
  return classes.map((c) => ({ name: String(c.name), train: c.train || 0, test: c.test || 0, trainShare: (c.train || 0) / most, testShare: (c.test || 0) / most }));
}

/* How unlike the classes' sizes are: the largest over the smallest; NaN for fewer than two. */
export function imbalance(classes) {
  const sizes = classes.map((c) => (c.train || 0) + (c.test || 0)).filter((n) => n > 0);
  return sizes.length > 1 ? Math.max(...sizes) / Math.min(...sizes) : NaN;
}

/* What the form's VALUES say, as the server's document.  Options that were left empty are not sent. */
export function documentOf(source, values, columns) {
  const kept = Object.fromEntries(Object.entries(columns).filter(([, v]) => v !== ''));
  const options = { type: values.type === 'auto' ? '' : values.type, header: values.header, delimiter: values.delimiter, ...kept };
  const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v));
  if (Number(values.image_size) > 0) given.image_size = [Number(values.image_size), Number(values.image_size)];
  if (Number(values.test) > 0) given.test = Number(values.test);
  return {
    name: values.name.trim(),
    ...(source === 'url' && urlsOf(values.url.trim().split(/\s+/), values.sha256.trim())),
    ...(source === 'folder' && { folder: values.folder.trim() }),
    ...(Object.keys(given).length > 0 && { format: given }),
  };
}

function urlsOf(urls, sha256) {
  if (urls.length > 1) return { files: urls.map((url) => ({ url })) };
  return { url: urls[0], ...(sha256 && { sha256 }) };
}

/* FORMAT with the CHANGES {column: type} of its columns' types in place. */
export function corrected(format, changes) {
  return { ...format, columns: { ...format?.columns, ...changes } };
}

// ---- A first job ------------------------------------------------------------------------------------------------------

/* The job to begin with for a DATASET, as the server describes it with "info" and "summary": small, and fit for its kind.  The
 * reader changes it in the editor, where the server checks it. */
export function startingJob(dataset) {
  const make = STARTS[dataset.info?.kind ?? dataset.kind] || STARTS.arrays;
  const { data, model, loss, metrics, train } = make(dataset.info || {}, dataset.summary || {});
  return {
    name: `${dataset.name}-first`,
    data: { dataset: dataset.name, batch_size: 64, ...splitOf(dataset.info), ...data },
    model: { layers: model },
    loss,
    optimizer: { type: 'adam', lr: 0.001 },
    metrics,
    train: { epochs: 5, ...train, keep: { best: 'val/loss' } },
  };
}

/* Where the data have no test part of their own, a part is kept back. */
function splitOf(info) {
  const hasTest = info?.parts?.test?.samples > 0;
  return { split: hasTest ? { validation: 0.1, by: 'random' } : { validation: 0.1, test: 0.2, by: 'random' } };
}

const PICTURE_SIZE = 64; // of pictures whose sizes differ
const SPECIAL_TOKENS = 2; // of a vocabulary: padding, and what is not in it
const LAST = { classes: (info) => info.classes?.length || 2 };
const CLASSIFIED = { loss: 'cross_entropy', metrics: ['accuracy'] };
const MEASURED = { loss: 'mse', metrics: ['mae', 'r2'] };

const STARTS = {
  images(info, summary) {
    const transforms = info.image?.height > 0 ? [] : [{ type: 'resize', size: PICTURE_SIZE }, { type: 'center_crop', size: PICTURE_SIZE }];
    const round = (v) => Math.round(number(v) * 1e4) / 1e4;
    const channels = (summary.channels || []).filter((c) => Number.isFinite(number(c.mean)) && number(c.std) > 0);
    if (channels.length > 0) transforms.push({ type: 'normalize', mean: channels.map((c) => round(c.mean)), std: channels.map((c) => round(c.std)) });
    const block = (channelsOut) => [{ type: 'conv2d', out_channels: channelsOut, kernel_size: 3, padding: 1 }, 'relu', { type: 'max_pool2d', kernel_size: 2 }];
    return { data: { transforms }, model: [...block(16), ...block(32), 'flatten', { type: 'linear', out_features: LAST.classes(info) }], ...CLASSIFIED };
  },
  table(info) {
    const columns = (info.columns || []).filter((c) => c.type === 'number' || c.type === 'category');
    const target = columns[columns.length - 1];
    const isClass = target?.type === 'category';
    const missing = columns.some((c) => c.missing > 0) ? { missing: target?.missing > 0 ? 'drop' : 'mean' } : {};
    return {
      data: { features: ['*'], target: target ? [target.name] : [], ...missing, standardize: isClass ? ['features'] : ['features', 'target'] },
      model: [{ type: 'linear', out_features: 64 }, 'relu', { type: 'linear', out_features: isClass ? target.categories?.length || 2 : 1 }],
      ...(isClass ? CLASSIFIED : MEASURED),
      train: { epochs: 50 },
    };
  },
  arrays(info) {
    const isClass = Boolean(info.y?.classes || info.classes);
    const wide = isClass ? (info.y?.classes || info.classes).length : info.y?.shape?.[0] || 1;
    return { data: {}, model: ['flatten', { type: 'linear', out_features: 64 }, 'relu', { type: 'linear', out_features: wide }], ...(isClass ? CLASSIFIED : MEASURED) };
  },
  text(info) {
    return {
      data: { split: { validation: 0.1, test: 0.1, by: 'end' }, tokenizer: 'char', sequence_length: 64 },
      model: [{ type: 'embedding', embedding_dim: 32 }, { type: 'lstm', hidden_size: 128 }, { type: 'linear', out_features: (info.characters || 0) + SPECIAL_TOKENS }],
      loss: 'cross_entropy',
      metrics: ['accuracy', 'perplexity'],
    };
  },
  labelled_text(info) {
    return {
      data: { tokenizer: 'word', max_length: 128, vocab: 20000 },
      model: [{ type: 'embedding', embedding_dim: 64 }, { type: 'lstm', hidden_size: 64, return: 'last' }, { type: 'linear', out_features: LAST.classes(info) }],
      ...CLASSIFIED,
    };
  },
  tagged_text(info) {
    return {
      data: { tokenizer: 'word', max_length: 128, vocab: 20000 },
      model: [{ type: 'embedding', embedding_dim: 64 }, { type: 'lstm', hidden_size: 64, bidirectional: true }, { type: 'linear', out_features: LAST.classes(info) }],
      ...CLASSIFIED,
    };
  },
};
