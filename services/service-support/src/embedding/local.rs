use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};

use async_trait::async_trait;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::{Embedder, Likeness};
use crate::llm::Tokens;
use crate::provider::{Cause, ProviderError};

/// Static embeddings: a text's vector is the mean of its tokens' vectors, which a file holds. No network, no graphics
/// card, thousands of texts a second. The files are read when the first text is embedded.
#[derive(Clone)]
pub struct LocalEmbedder {
    folder: PathBuf,
    name: String,
    model: Arc<OnceLock<Result<Model, String>>>,
}

/// The file of the tokens.
const TOKENIZER_FILE: &str = "tokenizer.json";
/// The file of their vectors.
const WEIGHTS_FILE: &str = "model.safetensors";

const PROVIDER: &str = "local embedding model";
/// Bytes at each end of a file that tell it from others.
const SAMPLE_BYTES: u64 = 64 * 1024;
/// Words whose tokens are kept: most of a text's words have been met before.
const KNOWN_WORDS: usize = 50_000;
/// A longer word is no word, and its tokens would take the square of its length to find.
const MAX_WORD_BYTES: usize = 256;

impl LocalEmbedder {
    /// The model of a folder; `None` where it does not hold both files.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>, ProviderError> {
        let files = [TOKENIZER_FILE, WEIGHTS_FILE].map(|name| folder.join(name));
        if !files.iter().all(|file| file.is_file()) {
            return Ok(None);
        }
        let name =
            fingerprint(&files).map_err(|e| failed(format!("failed to read {}: {e}", folder.display())))?;
        Ok(Some(Self { folder: folder.to_owned(), name, model: Arc::default() }))
    }

    /// The error of a folder that should hold a model and does not.
    pub(crate) fn missing(folder: &Path) -> ProviderError {
        failed(format!(
            "EMBEDDING_MODEL_DIR: {} does not hold {TOKENIZER_FILE} and {WEIGHTS_FILE}",
            folder.display()
        ))
    }

    fn embed_all(&self, texts: &[String]) -> Result<Vec<Option<Vec<f32>>>, ProviderError> {
        let model = self.model.get_or_init(|| Model::load(&self.folder)).as_ref();
        let model = model.map_err(|reason| failed(reason.clone()))?;
        texts.iter().map(|text| model.embed(text).map_err(failed)).collect()
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &str {
        &self.name
    }

    /// Measured on the weights that `scripts/fetch-model` brings: the cosine of a question and a passage about something
    /// else is 0.05 at the median and 0.13 at most in nineteen of twenty, and 0.2 to 0.7 where the passage answers it.
    fn likeness(&self) -> Likeness {
        Likeness { related: 0.18, answering: 0.3 }
    }

    async fn embed_counting(
        &self,
        texts: &[String],
        _tokens: &Tokens,
    ) -> Result<Vec<Option<Vec<f32>>>, ProviderError> {
        let (model, texts) = (self.clone(), texts.to_vec());
        let embedded = tokio::task::spawn_blocking(move || model.embed_all(&texts)).await;
        embedded.unwrap_or_else(|panic| Err(failed(panic.to_string())))
    }
}

impl fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEmbedder")
            .field("folder", &self.folder)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

struct Model {
    tokenizer: Tokenizer,
    /// Numbers of 16 bits, a row for each token.
    weights: Vec<u16>,
    dimension: usize,
    known: RwLock<HashMap<Box<str>, Arc<[u32]>>>,
}

impl Model {
    fn load(folder: &Path) -> Result<Self, String> {
        let tokenizer = Tokenizer::from_file(folder.join(TOKENIZER_FILE))
            .map_err(|e| format!("failed to read {TOKENIZER_FILE} in {}: {e}", folder.display()))?;
        let fault =
            |reason: String| format!("failed to read {WEIGHTS_FILE} in {}: {reason}", folder.display());
        let bytes = std::fs::read(folder.join(WEIGHTS_FILE)).map_err(|e| fault(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| fault(e.to_string()))?;
        let table = tensors.tensors().into_iter().find(|(_, tensor)| tensor.shape().len() == 2);
        let (_, table) = table.ok_or_else(|| fault("it holds no table of vectors".into()))?;
        let weights = match table.dtype() {
            Dtype::F16 => {
                table.data().chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            }
            Dtype::F32 => table
                .data()
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .map(|number| half::f16::from_f32(number).to_bits())
                .collect(),
            other => return Err(fault(format!("its numbers are {other:?}, not F16 or F32"))),
        };
        match table.shape() {
            [rows, dimension] if *rows > 0 && *dimension > 0 => {
                Ok(Self { tokenizer, weights, dimension: *dimension, known: RwLock::default() })
            }
            shape => Err(fault(format!("its table is {shape:?}"))),
        }
    }

    /// `None` for a text without a token that the model knows.
    fn embed(&self, text: &str) -> Result<Option<Vec<f32>>, String> {
        let (mut sum, mut row) = (vec![0.0_f32; self.dimension], vec![0.0_f32; self.dimension]);
        let mut count = 0_usize;
        for word in text.split_whitespace() {
            let word = &word[..word.floor_char_boundary(MAX_WORD_BYTES)];
            for token in self.tokens(word)?.iter() {
                let start = *token as usize * self.dimension;
                let Some(numbers) = self.weights.get(start..start + self.dimension) else { continue };
                numbers.reinterpret_cast::<half::f16>().convert_to_f32_slice(&mut row);
                for (total, number) in sum.iter_mut().zip(&row) {
                    *total += number;
                }
                count += 1;
            }
        }
        let mean = sum.into_iter().map(|total| total / count.max(1) as f32).collect::<Vec<_>>();
        Ok((count > 0 && mean.iter().any(|number| *number != 0.0)).then_some(mean))
    }

    /// The tokens of a word. No token reaches over a space, so those of a text are those of its words.
    fn tokens(&self, word: &str) -> Result<Arc<[u32]>, String> {
        let known = self.known.read().map_err(|e| e.to_string())?.get(word).cloned();
        if let Some(tokens) = known {
            return Ok(tokens);
        }
        let encoded =
            self.tokenizer.encode_fast(word, false).map_err(|e| format!("failed to cut a text: {e}"))?;
        let tokens: Arc<[u32]> = encoded.get_ids().into();
        let mut known = self.known.write().map_err(|e| e.to_string())?;
        if known.len() >= KNOWN_WORDS {
            known.clear();
        }
        known.insert(word.into(), Arc::clone(&tokens));
        Ok(tokens)
    }
}

/// A name that other files do not have, so that their vectors are never compared with these.
fn fingerprint(files: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        hash.update(length.to_le_bytes());
        for start in [0, length.saturating_sub(SAMPLE_BYTES)] {
            let mut sample = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            (&mut file).take(SAMPLE_BYTES).read_to_end(&mut sample)?;
            hash.update(&sample);
        }
    }
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("static-{hash}"))
}

fn failed(reason: String) -> ProviderError {
    ProviderError::new(PROVIDER, Cause::Setup, reason)
}
