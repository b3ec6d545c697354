//! The meaning of packages, topics, files and words. A name that is not here is still a dependency; it is no skill.

/// The sort of thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Framework,
    Tool,
}

/// Names of packages, topics and words of messages, in lower case, and what they stand for.
const NAMES: [(&str, Sort, &str); 92] = [
    ("react", Sort::Framework, "React"),
    ("react-dom", Sort::Framework, "React"),
    ("react-native", Sort::Framework, "React Native"),
    ("next", Sort::Framework, "Next.js"),
    ("nextjs", Sort::Framework, "Next.js"),
    ("vue", Sort::Framework, "Vue"),
    ("vuejs", Sort::Framework, "Vue"),
    ("nuxt", Sort::Framework, "Nuxt"),
    ("svelte", Sort::Framework, "Svelte"),
    ("angular", Sort::Framework, "Angular"),
    ("@angular/core", Sort::Framework, "Angular"),
    ("express", Sort::Framework, "Express"),
    ("fastify", Sort::Framework, "Fastify"),
    ("@nestjs/core", Sort::Framework, "NestJS"),
    ("nestjs", Sort::Framework, "NestJS"),
    ("electron", Sort::Framework, "Electron"),
    ("tailwindcss", Sort::Framework, "Tailwind CSS"),
    ("bootstrap", Sort::Framework, "Bootstrap"),
    ("redux", Sort::Framework, "Redux"),
    ("d3", Sort::Framework, "D3"),
    ("three", Sort::Framework, "Three.js"),
    ("django", Sort::Framework, "Django"),
    ("flask", Sort::Framework, "Flask"),
    ("fastapi", Sort::Framework, "FastAPI"),
    ("sqlalchemy", Sort::Framework, "SQLAlchemy"),
    ("pydantic", Sort::Framework, "Pydantic"),
    ("celery", Sort::Framework, "Celery"),
    ("numpy", Sort::Framework, "NumPy"),
    ("pandas", Sort::Framework, "pandas"),
    ("scikit-learn", Sort::Framework, "scikit-learn"),
    ("torch", Sort::Framework, "PyTorch"),
    ("pytorch", Sort::Framework, "PyTorch"),
    ("tensorflow", Sort::Framework, "TensorFlow"),
    ("transformers", Sort::Framework, "Transformers"),
    ("tokio", Sort::Framework, "Tokio"),
    ("axum", Sort::Framework, "axum"),
    ("actix-web", Sort::Framework, "Actix Web"),
    ("serde", Sort::Framework, "Serde"),
    ("bevy", Sort::Framework, "Bevy"),
    ("tauri", Sort::Framework, "Tauri"),
    ("wasm-bindgen", Sort::Framework, "wasm-bindgen"),
    ("github.com/gin-gonic/gin", Sort::Framework, "Gin"),
    ("github.com/gorilla/mux", Sort::Framework, "Gorilla"),
    ("google.golang.org/grpc", Sort::Framework, "gRPC"),
    ("tonic", Sort::Framework, "gRPC"),
    ("grpc", Sort::Framework, "gRPC"),
    ("rails", Sort::Framework, "Ruby on Rails"),
    ("sinatra", Sort::Framework, "Sinatra"),
    ("laravel/framework", Sort::Framework, "Laravel"),
    ("laravel", Sort::Framework, "Laravel"),
    ("symfony/framework-bundle", Sort::Framework, "Symfony"),
    ("spring-boot-starter", Sort::Framework, "Spring Boot"),
    ("spring-boot-starter-web", Sort::Framework, "Spring Boot"),
    ("spring-boot", Sort::Framework, "Spring Boot"),
    ("flutter", Sort::Framework, "Flutter"),
    ("graphql", Sort::Framework, "GraphQL"),
    ("docker", Sort::Tool, "Docker"),
    ("kubernetes", Sort::Tool, "Kubernetes"),
    ("helm", Sort::Tool, "Helm"),
    ("terraform", Sort::Tool, "Terraform"),
    ("ansible", Sort::Tool, "Ansible"),
    ("webpack", Sort::Tool, "webpack"),
    ("vite", Sort::Tool, "Vite"),
    ("eslint", Sort::Tool, "ESLint"),
    ("prettier", Sort::Tool, "Prettier"),
    ("jest", Sort::Tool, "Jest"),
    ("vitest", Sort::Tool, "Vitest"),
    ("cypress", Sort::Tool, "Cypress"),
    ("playwright", Sort::Tool, "Playwright"),
    ("@playwright/test", Sort::Tool, "Playwright"),
    ("typescript", Sort::Tool, "TypeScript"),
    ("pytest", Sort::Tool, "pytest"),
    ("mypy", Sort::Tool, "mypy"),
    ("ruff", Sort::Tool, "Ruff"),
    ("black", Sort::Tool, "Black"),
    ("poetry", Sort::Tool, "Poetry"),
    ("clippy", Sort::Tool, "Clippy"),
    ("criterion", Sort::Tool, "Criterion"),
    ("rspec", Sort::Tool, "RSpec"),
    ("phpunit/phpunit", Sort::Tool, "PHPUnit"),
    ("junit", Sort::Tool, "JUnit"),
    ("junit-jupiter", Sort::Tool, "JUnit"),
    ("postgresql", Sort::Tool, "PostgreSQL"),
    ("postgres", Sort::Tool, "PostgreSQL"),
    ("psycopg2", Sort::Tool, "PostgreSQL"),
    ("tokio-postgres", Sort::Tool, "PostgreSQL"),
    ("redis", Sort::Tool, "Redis"),
    ("mongodb", Sort::Tool, "MongoDB"),
    ("mongoose", Sort::Tool, "MongoDB"),
    ("sqlite", Sort::Tool, "SQLite"),
    ("rusqlite", Sort::Tool, "SQLite"),
    ("prometheus", Sort::Tool, "Prometheus"),
];

/// Names that are also everyday words: they count as packages and topics, not as words of a message.
const EVERYDAY: [&str; 8] = ["next", "express", "three", "black", "helm", "flask", "rails", "criterion"];

/// Files and folders at a repository's root, in lower case, and the tools that they belong to.
const FILES: [(&str, &str); 28] = [
    ("dockerfile", "Docker"),
    ("docker-compose.yml", "Docker Compose"),
    ("docker-compose.yaml", "Docker Compose"),
    ("compose.yaml", "Docker Compose"),
    ("compose.yml", "Docker Compose"),
    (".github", "GitHub Actions"),
    (".gitlab-ci.yml", "GitLab CI"),
    (".travis.yml", "Travis CI"),
    (".circleci", "CircleCI"),
    ("jenkinsfile", "Jenkins"),
    ("makefile", "Make"),
    ("cmakelists.txt", "CMake"),
    ("kconfig", "Kconfig"),
    ("package.json", "npm"),
    ("yarn.lock", "Yarn"),
    ("pnpm-lock.yaml", "pnpm"),
    ("tsconfig.json", "TypeScript"),
    ("cargo.toml", "Cargo"),
    ("go.mod", "Go modules"),
    ("pom.xml", "Maven"),
    ("build.gradle", "Gradle"),
    ("build.gradle.kts", "Gradle"),
    ("gemfile", "Bundler"),
    ("composer.json", "Composer"),
    ("requirements.txt", "pip"),
    ("flake.nix", "Nix"),
    ("main.tf", "Terraform"),
    (".pre-commit-config.yaml", "pre-commit"),
];

/// Topics, frameworks and languages, in lower case, and the fields that they point to.
const DOMAINS: [(&str, &str); 50] = [
    ("web", "Web Development"),
    ("website", "Web Development"),
    ("frontend", "Web Development"),
    ("react", "Web Development"),
    ("vue", "Web Development"),
    ("angular", "Web Development"),
    ("svelte", "Web Development"),
    ("next.js", "Web Development"),
    ("css", "Web Development"),
    ("backend", "Backend Development"),
    ("api", "Backend Development"),
    ("rest-api", "Backend Development"),
    ("express", "Backend Development"),
    ("django", "Backend Development"),
    ("fastapi", "Backend Development"),
    ("flask", "Backend Development"),
    ("axum", "Backend Development"),
    ("spring boot", "Backend Development"),
    ("ruby on rails", "Backend Development"),
    ("machine-learning", "Machine Learning"),
    ("deep-learning", "Machine Learning"),
    ("ai", "Machine Learning"),
    ("llm", "Machine Learning"),
    ("pytorch", "Machine Learning"),
    ("tensorflow", "Machine Learning"),
    ("scikit-learn", "Machine Learning"),
    ("data-science", "Data Science"),
    ("pandas", "Data Science"),
    ("numpy", "Data Science"),
    ("jupyter notebook", "Data Science"),
    ("r", "Data Science"),
    ("devops", "DevOps"),
    ("ci", "DevOps"),
    ("kubernetes", "DevOps"),
    ("hcl", "DevOps"),
    ("terraform", "DevOps"),
    ("kernel", "Systems Programming"),
    ("operating-system", "Systems Programming"),
    ("embedded", "Systems Programming"),
    ("c", "Systems Programming"),
    ("assembly", "Systems Programming"),
    ("rust", "Systems Programming"),
    ("cli", "Developer Tools"),
    ("developer-tools", "Developer Tools"),
    ("database", "Databases"),
    ("security", "Security"),
    ("game", "Game Development"),
    ("bevy", "Game Development"),
    ("ios", "Mobile Development"),
    ("android", "Mobile Development"),
];

/// The meaning of a package or a topic.
pub(super) fn package(name: &str) -> Option<(Sort, &'static str)> {
    NAMES.iter().find(|(known, _, _)| *known == name).map(|(_, sort, label)| (*sort, *label))
}

/// The tool that a word of a message names.
pub(super) fn named(word: &str) -> Option<&'static str> {
    package(word).filter(|_| !EVERYDAY.contains(&word)).map(|(_, label)| label)
}

/// The tool that a file or folder at the root belongs to.
pub(super) fn file(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    FILES.iter().find(|(known, _)| *known == name).map(|(_, tool)| *tool)
}

/// The field that a topic, a framework or a language points to.
pub(super) fn domain(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    DOMAINS.iter().find(|(known, _)| *known == name).map(|(_, domain)| *domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_what_people_call_it() {
        assert_eq!(package("react-dom"), Some((Sort::Framework, "React")));
        assert_eq!(package("left-pad"), None);
        assert_eq!(named("docker"), Some("Docker"));
        assert_eq!(named("next"), None);
        assert_eq!(file("Dockerfile"), Some("Docker"));
        assert_eq!(domain("Jupyter Notebook"), Some("Data Science"));
    }

    #[test]
    fn names_are_in_lower_case_and_stand_once() {
        let mut names: Vec<&str> = NAMES.iter().map(|(name, _, _)| *name).collect();
        let all = [&names[..], &FILES.map(|(name, _)| name), &DOMAINS.map(|(name, _)| name)].concat();
        assert!(all.iter().all(|name| *name == name.to_lowercase()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(EVERYDAY.iter().all(|word| package(word).is_some()));
    }
}
